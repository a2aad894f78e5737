#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth {

// The refusal of one more of `what`, in the plural, than the `limit` that may be under way at once.
absl::Status TooMany(absl::string_view what, size_t limit);

}  // namespace berth
