#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/crypto/secret_bytes.h"

namespace berth::cli {

// How a secret's value gets into this process and out of it: between the kernel and guarded memory,
// without a buffer of a library between them.

// What a value may have; the service refuses more.
inline constexpr size_t kSecretBytesMax = size_t{64} << 10;

// Everything up to the end of the descriptor, as it is. kInvalidArgument: more than `size_max`
// bytes; `source` is what the message calls it.
absl::StatusOr<SecretBytes> ReadSecret(int fd, const std::string& source,
                                       size_t size_max = kSecretBytesMax);

// The same of a file; - is standard input.
absl::StatusOr<SecretBytes> ReadSecretFromFile(const std::string& path,
                                               size_t size_max = kSecretBytesMax);

// Asks on standard error and reads a line from the terminal that is standard input, without showing
// it. The terminal is as before when this returns. kCancelled: the person pressed Ctrl-C.
absl::StatusOr<SecretBytes> AskForSecret(const std::string& question);

// All of it. Errors of write(2).
absl::Status WriteSecret(int fd, absl::string_view bytes);

}  // namespace berth::cli
