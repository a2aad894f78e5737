#pragma once

#include <string>
#include <vector>

namespace berth::tidy {

// A file of the repository, named from its root.
struct File {
  std::string path;
  std::string text;
};

// A broken rule. Line 0 is the file or folder as a whole.
struct Finding {
  std::string path;
  size_t line = 0;
  std::string rule;

  bool operator==(const Finding&) const = default;
};

// "path:line: rule", one per line.
std::string Format(const std::vector<Finding>& findings);

// Lines of at most 100 characters, no tabs, no blanks at their end, a line break at the end of the
// file, no promises to do something later.
std::vector<Finding> CheckText(const File& file);

// Who may include whom: what is pure stays pure, common/ is below everything, services know each
// other by their protos only, and libsodium is called in one folder. Every header guards itself.
std::vector<Finding> CheckIncludes(const File& file);

// No sleeping; threads and clocks only where they belong.
std::vector<Finding> CheckCalls(const File& file);

// Every .cpp file is named in the CMakeLists.txt of its folder or of one above.
std::vector<Finding> CheckEverySourceIsBuilt(const std::vector<File>& files);

// Every folder with C++ in it has a README.md.
std::vector<Finding> CheckEveryFolderIsExplained(const std::vector<File>& files);

}  // namespace berth::tidy
