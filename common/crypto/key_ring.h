#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/crypto/secret_bytes.h"

namespace berth {

// The master keys that wrap data keys. Everything stored is encrypted under a data key of its own,
// and only the wrapped data key is stored beside it: rotating the ring re-wraps keys of 32 bytes
// and leaves the data alone.
//
// The ring is a text file of mode 0600, with \n after every line:
//
//   berth-key-ring v1
//   KEY_ID KEY
//   …
//
// KEY_ID is 8 random bytes and KEY is 32 random bytes, both in lower-case hex. The last key is the
// current one; the others unwrap what they wrapped. Without the file everything wrapped is lost, so
// a backup has it apart from the data.
//
// A wrapped key is: one byte 1, the id's 8 bytes, then the ciphertext (aead.h), to which these nine
// bytes are bound together with the caller's associated data.
//
// Wrap and Unwrap are safe from several threads while none calls Rotate or Reload.
class KeyRing {
 public:
  // Reads the file, or makes it with one key. Processes that make it at the same time end up with
  // the same ring. kFailedPrecondition: others may read the file, or it is no key ring.
  static absl::StatusOr<KeyRing> LoadOrCreate(std::string path);

  // The id, in hex, of the key that wraps from now on.
  const std::string& current_key_id() const { return keys_.back().id; }
  size_t size() const { return keys_.size(); }

  std::string Wrap(const SecretBytes& data_key, absl::string_view associated_data) const;

  // kFailedPrecondition: the ring has no key of that id (the message names id and file).
  // kDataLoss: changed bytes or other associated data.
  absl::StatusOr<SecretBytes> Unwrap(absl::string_view wrapped,
                                     absl::string_view associated_data) const;

  // The id, in hex, of the key that wrapped it: what differs from current_key_id() is to be wrapped
  // anew. kDataLoss: not a wrapped key.
  static absl::StatusOr<std::string> KeyIdOf(absl::string_view wrapped);

  // Adds a key, makes it the current one and answers its id. It is on disk before it is used. Reads
  // the file first, so that a key added by another process stays; two processes must not rotate at
  // the same moment. kResourceExhausted: kKeysMax.
  absl::StatusOr<std::string> Rotate();

  // Takes what another process added.
  absl::Status Reload();

  // Removes every key but the current one. For the end of a rotation, once nothing that was wrapped
  // by the others is left.
  absl::Status RemoveOldKeys();

  static constexpr size_t kKeysMax = 256;

 private:
  struct Key {
    std::string id;  // Hex.
    SecretBytes bytes;
  };

  explicit KeyRing(std::string path) : path_(std::move(path)) {}

  static Key NewKey();
  static absl::StatusOr<std::vector<Key>> Read(const std::string& path);
  static SecretBytes Format(const std::vector<Key>& keys);

  std::string path_;
  std::vector<Key> keys_;  // Never empty; the last one is current.
};

}  // namespace berth
