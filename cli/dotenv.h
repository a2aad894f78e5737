#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/crypto/secret_bytes.h"

namespace berth::cli {

// What an environment may have; each value takes pages of its own.
inline constexpr size_t kDotenvSecretsMax = 1000;

// A secret as a person names it, with a value for it.
struct NamedValue {
  std::string name;
  SecretBytes value;
};

// The secrets of a dotenv file, in its order. A line is NAME=VALUE, `export` may stand before it,
// and # begins a comment. In double quotes \n, \r, \t, \", \\ and \$ mean what they mean in C and a
// shell; single quotes keep everything; a quoted value may have several lines. Nothing is expanded.
// DATABASE_URL becomes the secret database-url.
//
// kInvalidArgument: the message names the line and never its value.
absl::StatusOr<std::vector<NamedValue>> ParseDotenv(const SecretBytes& text);

}  // namespace berth::cli
