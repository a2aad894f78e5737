#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace berth {

// An IPv6 address as messages carry it, as people write it; empty where it is not 16 bytes.
std::string Ipv6Text(absl::string_view bytes);

// The network that the bytes begin, such as fd00:1::/64 of 8 bytes; empty where they are none or
// more than 16.
std::string Ipv6NetworkText(absl::string_view bytes);

}  // namespace berth
