#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/crypto/key_ring.h"
#include "common/crypto/secret_bytes.h"

namespace berth::secrets {

// How a value is stored: encrypted under a data key of its own, which the key ring wraps. Both are
// bound to the path ORG/APP/ENV/NAME and to the version's uid, so that no row passes for another
// one. What is sealed is the bytes of a v1::SecretRow.
std::string SealRow(const KeyRing& ring, absl::string_view path, absl::string_view uid,
                    const SecretBytes& value);

// The value. `ciphertext_digest` is what the log says of the row. kDataLoss: the row was changed,
// or is another version's. kFailedPrecondition: the key ring lacks the key that wrapped it.
absl::StatusOr<SecretBytes> OpenRow(const KeyRing& ring, absl::string_view path,
                                    absl::string_view uid, absl::string_view ciphertext_digest,
                                    const std::string& row);

// BLAKE2b-256 of the ciphertext in a row that SealRow made.
std::string CiphertextDigest(const std::string& row);

}  // namespace berth::secrets
