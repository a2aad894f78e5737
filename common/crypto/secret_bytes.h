#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth {

// Secret bytes in guarded memory: pages of their own between inaccessible ones, locked against
// swapping where the limit allows, left out of core dumps, zeroed at the end. Move-only, so that
// there is one copy; deliberately without a conversion to std::string and without operator<<.
//
// Each object costs at least four pages and some kernel mappings: hold a value while it is used,
// not thousands of them. Sizes that come from the network are bounded by the caller: the process
// ends when no memory is left. Const access is safe from several threads.
class SecretBytes {
 public:
  // No bytes, no memory.
  SecretBytes() = default;
  // Zeroes.
  explicit SecretBytes(size_t size);
  ~SecretBytes();
  SecretBytes(SecretBytes&& other) noexcept;
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;

  // The caller's bytes stay where they are; wiping them is the caller's business.
  static SecretBytes CopyOf(absl::string_view bytes);
  static SecretBytes Random(size_t size);

  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // The bytes where they are, to be passed on at once. Whoever copies them out takes them out of
  // the guarded memory.
  absl::string_view view() const {
    return absl::string_view(reinterpret_cast<const char*>(data_), size_);
  }

  // A write into the bytes ends the process from now on.
  void MakeReadOnly();

  // Wipes what is cut off. `size` is at most size().
  void Truncate(size_t size);

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// Takes the same time whatever the bytes are; different sizes are unequal.
bool ConstantTimeEqual(absl::string_view a, absl::string_view b);

// Makes libsodium ready, or ends the process. Idempotent and safe from any thread; everything in
// this folder calls it, so nobody else needs to.
void InitialiseCrypto();

// Keeps what this process has in memory from leaving it in a core dump or through a debugger of the
// same user. A daemon that handles secrets calls it first in main.
absl::Status LockDownMemory();

}  // namespace berth
