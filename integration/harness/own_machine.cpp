#include "integration/harness/own_machine.h"

#include <signal.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "integration/harness/machine_namespaces.h"

namespace berth::integration {
namespace {

constexpr char kInterfaces[] = "/proc/thread-self/net/dev";

std::string OwnMountNamespace() { return std::filesystem::read_symlink("/proc/self/ns/mnt"); }

}  // namespace

const OwnMachine& OwnMachine::Enter() {
  static const OwnMachine entered;
  return entered;
}

OwnMachine::OwnMachine() { EnterNewMachine(folder_); }

OwnMachine::~OwnMachine() {
  // With what Podman mounted below.
  for (const char* folder : {"/var/lib/containers", "/etc/containers"}) {
    umount2(folder, MNT_DETACH);
  }
}

std::vector<std::string> OwnMachine::Occupants() const {
  std::vector<std::string> occupants;
  for (const Process& process : ProcessesIn(OwnMountNamespace())) {
    occupants.push_back(absl::StrCat("process ", process.pid, " ", process.command_line));
  }
  // Two lines of headings. The file follows the thread, unlike /sys/class/net, the mount.
  std::ifstream file(kInterfaces);
  const std::string interfaces{std::istreambuf_iterator<char>(file),
                               std::istreambuf_iterator<char>()};
  for (absl::string_view line : absl::StrSplit(interfaces, '\n', absl::SkipEmpty())) {
    const absl::string_view name = absl::StripAsciiWhitespace(line.substr(0, line.find(':')));
    if (absl::StrContains(line, '|') || name == "lo") continue;
    occupants.push_back(absl::StrCat("interface ", name));
  }
  for (const std::string& point : ContainerMounts()) {
    occupants.push_back(absl::StrCat("mount ", point));
  }
  return occupants;
}

void OwnMachine::KillProcesses() const {
  for (const Process& process : ProcessesIn(OwnMountNamespace())) kill(process.pid, SIGKILL);
}

}  // namespace berth::integration
