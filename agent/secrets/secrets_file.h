#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/crypto/secret_bytes.h"

namespace berth::agent {

// The environment variable, or key of the secrets file, that stands for a secret: database-url is
// DATABASE_URL. Two names never give the same.
std::string VariableOf(absl::string_view secret);

// The secrets file, version 1 (README.md): values by their secrets' names. The same values give the
// same bytes. kInvalidArgument: a value that a line of text cannot hold, which is named.
absl::StatusOr<SecretBytes> RenderSecretsFile(
    const std::map<std::string, absl::string_view>& values);

}  // namespace berth::agent
