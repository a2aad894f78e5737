#pragma once

#include "absl/strings/string_view.h"

namespace berth {

// Whether the text names a container image as registries do: [HOST[:PORT]/]PATH[:TAG][@sha256:HEX].
bool IsImageReference(absl::string_view text);

}  // namespace berth
