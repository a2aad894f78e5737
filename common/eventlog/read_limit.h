#pragma once

#include <cstddef>

namespace berth {

// A Read ends with the record that brings it to this many bytes, whatever its `count_max`, so that
// a log of large records is replayed in bounded memory. It never ends before its first record.
inline constexpr size_t kReadBytesMax = size_t{8} << 20;

}  // namespace berth
