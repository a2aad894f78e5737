#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "common/crypto/secret_bytes.h"

namespace berth {

// The whole file, straight into guarded memory. A file that its group or others may read is refused
// with kFailedPrecondition and the chmod that mends it; so are folders, FIFOs and what is larger
// than `size_max`. kNotFound: there is no file. Secret files are written by CreateFileAtomically
// and WriteFileAtomically with mode 0600.
absl::StatusOr<SecretBytes> ReadSecretFile(const std::string& path, size_t size_max);

}  // namespace berth
