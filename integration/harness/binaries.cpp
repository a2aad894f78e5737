#include "integration/harness/binaries.h"

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"

namespace berth::integration {

std::string Binary(const std::string& name) {
  const char* const folder = std::getenv("BERTH_BIN");
  if (folder != nullptr) return absl::StrCat(folder, "/", name);
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

}  // namespace berth::integration
