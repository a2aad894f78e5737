#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/tidy/rules.h"

namespace berth::tidy {

// The folder at or above `start` that is the root of this repository. kNotFound: none is.
absl::StatusOr<std::string> FindRoot(const std::string& start);

// The files that people write, ordered by path: C++, protos, CMake, scripts, settings and prose.
// Not what a build made, what is hidden, what others wrote (third_party), and test data, whose
// bytes are what they are for a reason.
absl::StatusOr<std::vector<File>> ReadRepository(const std::string& root);

}  // namespace berth::tidy
