#include "integration/harness/platform.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/net/unique_fd.h"
#include "integration/harness/log_end.h"

namespace berth::integration {
namespace {

namespace fs = std::filesystem;

constexpr int kKillWaitMilliseconds = 10000;

// The platform whose logs a failed assertion shows.
Platform* current = nullptr;

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

Platform::Platform() {
  if (current != nullptr) throw std::logic_error("there is another platform");
  containers_conf_ = PreparePodman();
  current = this;
}

Platform* Platform::Current() { return current; }

Platform::~Platform() {
  if (std::uncaught_exceptions() > 0) PrintLogs();
  current = nullptr;
  if (fs::exists(folder())) {
    try {
      const Finished purged = Purge();
      if (purged.exit_code != 0) std::cerr << "the platform could not be purged: " << purged.err;
      (void)Run({"podman", "rm", "--all", "--force", "--time", "0"});
    } catch (const std::exception& error) {
      std::cerr << error.what() << "\n";
    }
  }
  machine().KillProcesses();
}

void Platform::Up() {
  std::vector<std::string> arguments = {Binary("berth"), "up", "--state", folder()};
  if (!containers_conf_.empty()) {
    arguments.insert(arguments.end(), {"--containers-conf", containers_conf_});
  }
  MustRun(arguments);
}

Finished Platform::Purge() {
  return Berth({"down", "--purge", "--yes", "--state", folder()}, absl::Minutes(2));
}

pid_t Platform::PidOf(const std::string& daemon) const {
  pid_t pid = 0;
  const std::string pid_file = absl::StrCat(folder(), "/run/", daemon, ".pid");
  if (!absl::SimpleAtoi(TextOf(pid_file), &pid)) throw std::runtime_error(pid_file + " has no pid");
  const std::string command_line = TextOf(absl::StrCat("/proc/", pid, "/cmdline"));
  if (!absl::StartsWith(command_line, Binary("berth-" + daemon))) {
    throw std::runtime_error(absl::StrCat(daemon, " does not run"));
  }
  return pid;
}

void Platform::Kill(const std::string& daemon) const {
  const pid_t pid = PidOf(daemon);
  const UniqueFd exit(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!exit.valid()) throw std::runtime_error(absl::StrCat(daemon, " has ended by itself"));
  kill(pid, SIGKILL);
  pollfd ended = {exit.get(), POLLIN, 0};
  if (poll(&ended, 1, kKillWaitMilliseconds) != 1) throw std::runtime_error(daemon + " lives on");
}

Program Platform::StartDaemon(const std::string& daemon) const {
  return Program({Binary("berth-" + daemon), "--settings", folder() + "/" + daemon + ".yaml"});
}

ContainerStarts Platform::Starts() const {
  const std::string ids = MustRun({"podman", "ps", "--all", "--quiet", "--no-trunc"});
  const std::vector<std::string> containers = absl::StrSplit(ids, '\n', absl::SkipEmpty());
  ContainerStarts starts;
  for (const std::string& container : containers) {
    // One that is gone since it was listed has no start.
    const Finished inspected = Run({"podman", "container", "inspect", "--format",
                                    "{{index .Config.Labels \"berth.instance\"}} {{.Id}} "
                                    "{{.State.StartedAt}}",
                                    container});
    if (inspected.exit_code != 0) continue;
    const std::pair<std::string, std::string> start =
        absl::StrSplit(absl::StripAsciiWhitespace(inspected.out), absl::MaxSplits(' ', 1));
    starts.insert(start);
  }
  return starts;
}

ContainerStarts Platform::StartsOf(const std::string& app) const {
  const ContainerStarts all = Starts();
  ContainerStarts starts;
  for (const Instance& instance : Instances(app)) {
    const auto start = all.find(instance.id);
    if (start != all.end()) starts.insert(*start);
  }
  return starts;
}

void Platform::PrintLogs() {
  if (logs_printed_) return;
  logs_printed_ = true;
  for (const char* daemon : {"server", "agent"}) {
    PrintLogEnd(absl::StrCat(folder(), "/log/", daemon, ".log"));
  }
}

}  // namespace berth::integration
