#pragma once

#include <string>

namespace berth::integration {

// The path of one of Berth's programs: in the folder BERTH_BIN, or beside the test.
std::string Binary(const std::string& name);

}  // namespace berth::integration
