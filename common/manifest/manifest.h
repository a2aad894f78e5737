#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "berth/config/v1/manifest.pb.h"

namespace berth {

// What a manifest may hold, in bytes.
inline constexpr size_t kManifestBytesMax = size_t{256} * 1024;

// Reads a berth.yaml, strictly, and fills in every default. The same text always gives the same
// message or the same error, wherever and whenever it is read.
//
// kInvalidArgument with reason MANIFEST_INVALID: the message is a line for each mistake,
// FILE:LINE:COLUMN: PATH: WHAT, and each of them is a field violation too. `file_name` is what the
// lines call the file.
absl::StatusOr<config::v1::Manifest> ParseManifest(absl::string_view yaml,
                                                   absl::string_view file_name);

// The manifest as bytes, the same for manifests that are equal.
std::string Normalise(const config::v1::Manifest& manifest);

// BLAKE2b-256 of the normalised manifest, in hex.
std::string ManifestDigest(const config::v1::Manifest& manifest);

}  // namespace berth
