#include "services/secrets/envelope.h"

#include "absl/strings/str_cat.h"
#include "berth/secrets/v1/events.pb.h"
#include "common/check/check.h"
#include "common/crypto/aead.h"
#include "common/crypto/hash.h"
#include "common/status/error_details.h"
#include "common/status/status_macros.h"

namespace berth::secrets {
namespace {

absl::Status Damaged(absl::string_view path) {
  return absl::DataLossError(
      absl::StrCat("the stored value of ", path, " is not the one that was put; restore a backup"));
}

}  // namespace

std::string SealRow(const KeyRing& ring, absl::string_view path, absl::string_view uid,
                    const SecretBytes& value) {
  const std::string bound_to = absl::StrCat(path, uid);
  const SecretBytes data_key = SecretBytes::Random(kEncryptionKeySize);
  v1::SecretRow row;
  row.set_wrapped_key(ring.Wrap(data_key, bound_to));
  row.set_ciphertext(Encrypt(data_key, value.view(), bound_to));
  return row.SerializeAsString();
}

absl::StatusOr<SecretBytes> OpenRow(const KeyRing& ring, absl::string_view path,
                                    absl::string_view uid, absl::string_view ciphertext_digest,
                                    const std::string& row) {
  v1::SecretRow stored;
  if (!stored.ParseFromString(row) || Blake2b256({stored.ciphertext()}) != ciphertext_digest) {
    return Damaged(path);
  }
  const std::string bound_to = absl::StrCat(path, uid);
  const absl::StatusOr<SecretBytes> data_key = ring.Unwrap(stored.wrapped_key(), bound_to);
  if (!data_key.ok()) return Annotate(data_key.status(), absl::StrCat("the secret ", path));
  if (data_key->size() != kEncryptionKeySize) return Damaged(path);
  absl::StatusOr<SecretBytes> value = Decrypt(*data_key, stored.ciphertext(), bound_to);
  if (!value.ok()) return Damaged(path);
  return value;
}

std::string CiphertextDigest(const std::string& row) {
  v1::SecretRow sealed;
  BERTH_CHECK(sealed.ParseFromString(row));
  return Blake2b256({sealed.ciphertext()});
}

}  // namespace berth::secrets
