#pragma once

#include <string>

namespace berth::integration {

// Prints the last lines of a log, for whoever looks at a failed test: of a file, or of what a
// program printed.
void PrintLogEnd(const std::string& path);
void PrintLogEnd(const std::string& name, const std::string& text);

}  // namespace berth::integration
