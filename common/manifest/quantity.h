#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// Bytes of a size such as 256MiB (binary: KiB, MiB, GiB, TiB), 500MB (decimal: kB, MB, GB, TB) or
// 268435456. Whole numbers only. kInvalidArgument says what to write instead.
absl::StatusOr<uint64_t> ParseSize(absl::string_view text);

// Thousandths of a CPU in 500m, 0.5 or 2. kInvalidArgument says what to write instead.
absl::StatusOr<uint32_t> ParseCpu(absl::string_view text);

}  // namespace berth
