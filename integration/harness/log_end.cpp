#include "integration/harness/log_end.h"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

#include "absl/strings/str_split.h"

namespace berth::integration {
namespace {

constexpr size_t kLinesShown = 40;

}  // namespace

void PrintLogEnd(const std::string& path) {
  std::ifstream file(path);
  PrintLogEnd(path, std::string(std::istreambuf_iterator<char>(file), {}));
}

void PrintLogEnd(const std::string& name, const std::string& text) {
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  const size_t shown = std::min(lines.size(), kLinesShown);
  std::cerr << "The end of " << name << ":\n";
  for (size_t i = lines.size() - shown; i < lines.size(); ++i) {
    std::cerr << "  | " << lines[i] << "\n";
  }
}

}  // namespace berth::integration
