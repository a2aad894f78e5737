#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace berth::integration {

// Ports of the loopback that were free a moment ago, as HOST:PORT: for processes that have to be
// known before they listen.
std::vector<std::string> FreeAddresses(size_t count);

}  // namespace berth::integration
