#pragma once

#include "absl/strings/string_view.h"

namespace berth {

// Writes the failed condition to stderr and ends the process with SIGABRT.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              absl::string_view detail);

}  // namespace berth

// Ends the process when a condition that only a bug in Berth could break does not hold. What the
// network, the disk or a user can plausibly do is an absl::Status instead.
#define BERTH_CHECK(condition) BERTH_CHECK_MESSAGE(condition, "")

#define BERTH_CHECK_MESSAGE(condition, detail)                        \
  do {                                                                \
    if (!(condition)) {                                               \
      ::berth::CheckFailed(__FILE__, __LINE__, #condition, (detail)); \
    }                                                                 \
  } while (false)
