#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace berth::edge {

// Takes big-endian fields off the front of bytes that somebody else made. Reading past the end
// gives zeros and empty views and sets failed() for good, so that a parser checks once per
// structure.
class ByteReader {
 public:
  explicit ByteReader(absl::string_view bytes) : rest_(bytes) {}

  bool failed() const { return failed_; }
  bool empty() const { return rest_.empty(); }

  uint32_t TakeNumber(size_t size) {
    uint32_t number = 0;
    for (const char byte : Take(size)) number = number << 8 | static_cast<uint8_t>(byte);
    return number;
  }

  absl::string_view Take(size_t size) {
    if (size > rest_.size()) {
      failed_ = true;
      rest_ = {};
      return {};
    }
    const absl::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  // A vector as TLS writes it: its size in `size_bytes` bytes, then its content.
  absl::string_view TakeVector(size_t size_bytes) { return Take(TakeNumber(size_bytes)); }

 private:
  absl::string_view rest_;
  bool failed_ = false;
};

}  // namespace berth::edge
