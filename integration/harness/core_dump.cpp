#include "integration/harness/core_dump.h"

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "integration/harness/program.h"

namespace berth::integration {
namespace {

namespace fs = std::filesystem;

constexpr size_t kChunkBytes = size_t{4} << 20;
constexpr absl::Duration kDumpLimit = absl::Minutes(2);

// gdb with nothing of its own set-up, and everything in the core: also what asks to be left out.
std::vector<std::string> Gdb(const std::vector<std::string>& commands) {
  std::vector<std::string> arguments = {"gdb",
                                        "--batch",
                                        "--nx",
                                        "-ex",
                                        "set debuginfod enabled off",
                                        "-ex",
                                        "set auto-load off",
                                        "-ex",
                                        "set startup-with-shell off",
                                        "-ex",
                                        "set dump-excluded-mappings on",
                                        "-ex",
                                        "set use-coredump-filter off"};
  for (const std::string& command : commands) {
    arguments.push_back("-ex");
    arguments.push_back(command);
  }
  return arguments;
}

void MustExist(const std::string& file, const std::string& output) {
  if (!fs::exists(file) || fs::file_size(file) == 0) {
    throw std::runtime_error(absl::StrCat("gdb wrote no core: ", output));
  }
}

}  // namespace

void DumpCore(pid_t pid, const std::string& file) {
  std::vector<std::string> arguments =
      Gdb({absl::StrCat("attach ", pid), absl::StrCat("generate-core-file ", file), "detach"});
  const Finished finished = Run(arguments, kDumpLimit);
  MustExist(file, finished.out + finished.err);
}

void RunDumpingCore(const std::vector<std::string>& arguments, const std::string& moment,
                    const std::string& file) {
  std::vector<std::string> all = Gdb({"set breakpoint pending on", moment, "run",
                                      absl::StrCat("generate-core-file ", file), "continue"});
  all.push_back("--args");
  all.insert(all.end(), arguments.begin(), arguments.end());
  const Finished finished = Run(all, kDumpLimit);
  MustExist(file, finished.out + finished.err);
  if (finished.out.find("exited normally") == std::string::npos) {
    throw std::runtime_error(absl::StrCat(absl::StrJoin(arguments, " "),
                                          " did not succeed: ", finished.out, finished.err));
  }
}

bool FileContains(const std::string& file, const std::string& bytes) {
  std::ifstream in(file, std::ios::binary);
  std::string window;
  while (in) {
    // What was read last may end with the beginning of what is looked for.
    if (window.size() > bytes.size()) window.erase(0, window.size() - bytes.size());
    const size_t have = window.size();
    window.resize(have + kChunkBytes);
    in.read(window.data() + have, static_cast<std::streamsize>(kChunkBytes));
    window.resize(have + static_cast<size_t>(in.gcount()));
    if (window.find(bytes) != std::string::npos) return true;
  }
  return false;
}

std::vector<std::string> FilesWith(const std::string& folder, const std::string& bytes) {
  std::vector<std::string> found;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    if (FileContains(entry.path().string(), bytes)) found.push_back(entry.path().string());
  }
  return found;
}

}  // namespace berth::integration
