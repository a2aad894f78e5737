#include "common/tidy/repository.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/files/atomic_file.h"
#include "common/status/status_macros.h"

namespace berth::tidy {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFileSizeMax = 4 << 20;

bool IsSkipped(const fs::path& folder) {
  static const auto* const names = new std::set<std::string>{"build", "testdata", "third_party"};
  const std::string name = folder.filename().string();
  return absl::StartsWith(name, ".") || names->count(name) > 0 ||
         fs::exists(folder / "CMakeCache.txt");
}

bool IsWritten(const fs::path& file) {
  static const auto* const extensions = new std::set<std::string>{
      ".h", ".cpp", ".proto", ".cmake", ".sh", ".py", ".md", ".yaml", ".json", ".service", ".sql"};
  return extensions->count(file.extension().string()) > 0 || file.filename() == "CMakeLists.txt";
}

}  // namespace

absl::StatusOr<std::string> FindRoot(const std::string& start) {
  fs::path folder = fs::absolute(start).lexically_normal();
  while (true) {
    if (fs::exists(folder / "CMakePresets.json") && fs::exists(folder / "common/tidy")) {
      return folder.string();
    }
    if (folder == folder.parent_path()) {
      return absl::NotFoundError(absl::StrCat("no repository at or above ", start));
    }
    folder = folder.parent_path();
  }
}

absl::StatusOr<std::vector<File>> ReadRepository(const std::string& root) {
  std::vector<File> files;
  std::error_code error;
  fs::recursive_directory_iterator entries(root, error);
  for (; !error && entries != fs::end(entries); entries.increment(error)) {
    if (entries->is_directory()) {
      if (IsSkipped(entries->path())) entries.disable_recursion_pending();
      continue;
    }
    if (!entries->is_regular_file() || !IsWritten(entries->path())) continue;
    BERTH_ASSIGN_OR_RETURN(std::string text, ReadFile(entries->path().string(), kFileSizeMax));
    files.push_back({fs::relative(entries->path(), root).string(), std::move(text)});
  }
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot read ", root));
  std::sort(files.begin(), files.end(),
            [](const File& a, const File& b) { return a.path < b.path; });
  return files;
}

}  // namespace berth::tidy
