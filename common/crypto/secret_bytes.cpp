#include "common/crypto/secret_bytes.h"

#include <sodium.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "common/check/check.h"

namespace berth {

void InitialiseCrypto() {
  static const bool ready = sodium_init() >= 0;
  BERTH_CHECK_MESSAGE(ready, "libsodium finds no source of randomness");
}

SecretBytes::SecretBytes(size_t size) : size_(size) {
  InitialiseCrypto();
  // Memory that cannot be locked (RLIMIT_MEMLOCK) is handed out all the same: a small limit must
  // not stop a host from running.
  data_ = static_cast<uint8_t*>(sodium_malloc(size));
  BERTH_CHECK_MESSAGE(data_ != nullptr, "no guarded memory left");
  if (size > 0) std::memset(data_, 0, size);
}

// sodium_free makes the pages writable again and wipes them.
SecretBytes::~SecretBytes() { sodium_free(data_); }

SecretBytes::SecretBytes(SecretBytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

SecretBytes SecretBytes::CopyOf(absl::string_view bytes) {
  SecretBytes copy(bytes.size());
  if (!bytes.empty()) std::memcpy(copy.data_, bytes.data(), bytes.size());
  return copy;
}

SecretBytes SecretBytes::Random(size_t size) {
  SecretBytes random(size);
  randombytes_buf(random.data_, size);
  return random;
}

void SecretBytes::MakeReadOnly() {
  if (data_ != nullptr) BERTH_CHECK(sodium_mprotect_readonly(data_) == 0);
}

void SecretBytes::Truncate(size_t size) {
  BERTH_CHECK(size <= size_);
  if (size == size_) return;
  sodium_memzero(data_ + size, size_ - size);
  size_ = size;
}

bool ConstantTimeEqual(absl::string_view a, absl::string_view b) {
  InitialiseCrypto();
  return a.size() == b.size() && (a.empty() || sodium_memcmp(a.data(), b.data(), a.size()) == 0);
}

absl::Status LockDownMemory() {
  const rlimit none = {0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) {
    return absl::ErrnoToStatus(errno, "cannot turn core dumps off");
  }
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make the process undumpable");
  }
  return absl::OkStatus();
}

}  // namespace berth
