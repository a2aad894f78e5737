#include "integration/harness/machine_namespaces.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "integration/harness/program.h"

namespace berth::integration {
namespace {

namespace fs = std::filesystem;

// Where Podman keeps what must not outlive a boot. Its list of taken addresses is there, one for
// all storages.
constexpr const char* kRuntimeFolders[] = {"/run/containers", "/run/libpod", "/run/netns"};
constexpr char kStorage[] = "/var/lib/containers";
constexpr char kConfiguration[] = "/etc/containers";

void MustMount(const std::string& source, const std::string& target, const char* type,
               unsigned long flags) {
  fs::create_directories(target);
  if (mount(source.c_str(), target.c_str(), type, flags, nullptr) != 0) {
    throw std::runtime_error(absl::StrCat("mount on ", target, ": ", std::strerror(errno)));
  }
}

std::string TextOf(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

void EnterNewMachine(const testing::TempDir& folder) {
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) {
    throw std::runtime_error(absl::StrCat("a namespace, which needs root: ", std::strerror(errno)));
  }
  MustMount("none", "/", nullptr, MS_REC | MS_PRIVATE);
  // The containers that run already: of no use here, and in the way when they are removed.
  std::vector<std::string> inherited = ContainerMounts();
  std::reverse(inherited.begin(), inherited.end());
  for (const std::string& point : inherited) umount2(point.c_str(), MNT_DETACH);
  for (const char* runtime_folder : kRuntimeFolders) MustMount("tmpfs", runtime_folder, "tmpfs", 0);
  fs::create_directories(folder.File("storage"));
  MustMount(folder.File("storage"), kStorage, nullptr, MS_BIND);
  fs::copy(kConfiguration, folder.File("configuration"), fs::copy_options::recursive);
  fs::remove_all(folder.File("configuration/networks"));
  MustMount(folder.File("configuration"), kConfiguration, nullptr, MS_BIND);
  MustRun({"ip", "link", "set", "lo", "up"});
}

std::vector<Process> ProcessesIn(const std::string& mount_namespace) {
  std::vector<Process> processes;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
    Process process;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &process.pid)) continue;
    // What has ended meanwhile has no namespace.
    std::error_code ended;
    if (process.pid == getpid() ||
        fs::read_symlink(entry.path() / "ns/mnt", ended) != mount_namespace) {
      continue;
    }
    process.command_line = TextOf(entry.path() / "cmdline");
    std::replace(process.command_line.begin(), process.command_line.end(), '\0', ' ');
    processes.push_back(process);
  }
  return processes;
}

std::vector<std::string> ContainerMounts() {
  std::vector<std::string> points;
  const std::string mounts = TextOf("/proc/thread-self/mountinfo");
  for (absl::string_view line : absl::StrSplit(mounts, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ');
    const std::string& point = fields.at(4);
    // Podman itself mounts the folder above these onto itself and leaves it.
    if (absl::StrContains(point, "/overlay/") || absl::StrContains(point, "/overlay-containers/") ||
        absl::StartsWith(point, "/run/netns/")) {
      points.push_back(point);
    }
  }
  return points;
}

}  // namespace berth::integration
