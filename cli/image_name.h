#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::cli {

// The parts of an image reference, with what people leave out filled in.
struct ImageName {
  std::string registry;    // HOST[:PORT]; docker.io where the reference names none.
  std::string repository;  // Such as library/nginx.
  std::string tag;         // latest where there is neither a tag nor a digest.
  std::string digest;      // sha256:HEX, or empty.

  bool operator==(const ImageName&) const = default;

  // On this machine only: Podman calls images that it built itself localhost/NAME.
  bool is_local() const { return registry == "localhost"; }
  // REGISTRY/REPOSITORY@DIGEST.
  std::string WithDigest(absl::string_view digest_found) const;
};

// kInvalidArgument: not an image reference.
absl::StatusOr<ImageName> ParseImageName(absl::string_view reference);

// Whether the text is sha256: and 64 lower-case hex digits.
bool IsDigest(absl::string_view text);

}  // namespace berth::cli
