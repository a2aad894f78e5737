#include "integration/harness/platform.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <regex>
#include <stdexcept>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/net/unique_fd.h"

namespace berth::integration {
namespace {

namespace fs = std::filesystem;

constexpr char kHelloFolder[] = "k8s-free-deploy/examples/hello";
constexpr char kProbeImage[] = "localhost/berth-probe";
constexpr int kHelloHttpPort = 8080;
constexpr size_t kLogLinesShown = 40;
constexpr int kKillWaitMilliseconds = 10000;

// The platform whose logs a failed assertion shows.
Platform* current = nullptr;

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void Write(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path) << text;
}

std::string BinaryFolder() {
  if (const char* folder = std::getenv("BERTH_BIN")) return fs::absolute(folder);
  return fs::read_symlink("/proc/self/exe").parent_path();
}

// The most that Podman can give a container: it lowers its own limits to what the kernel allows.
uint64_t LimitOf(__rlimit_resource resource, const std::string& kernel_max_file) {
  rlimit limit = {};
  getrlimit(resource, &limit);
  return std::min<uint64_t>(limit.rlim_max, std::stoull(TextOf(kernel_max_file)));
}

// What containers and small virtual machines refuse of what Podman asks for by default.
bool IsKnownPodmanError(const std::string& output) {
  static const auto* const known =
      new std::regex("setrlimit|setting rlimit|hybrid mode|cgroups|cni|CNI|netavark|network");
  return std::regex_search(output, *known);
}

std::string ContainersConf() {
  const uint64_t files = LimitOf(RLIMIT_NOFILE, "/proc/sys/fs/nr_open");
  const uint64_t processes = LimitOf(RLIMIT_NPROC, "/proc/sys/kernel/pid_max");
  return absl::StrCat("[containers]\ndefault_ulimits = [\"nofile=", files, ":", files,
                      "\", \"nproc=", processes, ":", processes, "\"]\n",
                      "[engine]\nruntime = \"runc\"\n[network]\nnetwork_backend = \"netavark\"\n");
}

}  // namespace

std::string Instance::Url(const std::string& path) const {
  return absl::StrCat("http://[", address, "]:", kHelloHttpPort, path);
}

Platform::Platform() : machine_(OwnMachine::Enter()), bin_(BinaryFolder()) {
  if (current != nullptr) throw std::logic_error("there is another platform");
  setenv("XDG_CONFIG_HOME", folder_.File("config").c_str(), 1);
  setenv("XDG_STATE_HOME", folder_.File("personal-state").c_str(), 1);
  for (const char* name : {"BERTH_SERVER", "BERTH_CONTEXT", "BERTH_ORG", "BERTH_APP", "BERTH_ENV",
                           "BERTH_TOKEN", "CONTAINERS_CONF"}) {
    unsetenv(name);
  }
  TryPodman();
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
  machine_.KillProcesses();
}

void Platform::TryPodman() {
  BuildHello(kProbeImage);
  const std::vector<std::string> probe = {"podman", "run", "--rm", kProbeImage, "--exit", "0"};
  const Finished tried = Run(probe);
  if (tried.exit_code != 0) {
    if (!IsKnownPodmanError(tried.err)) throw std::runtime_error(tried.err);
    containers_conf_ = folder_.File("containers.conf");
    Write(containers_conf_, ContainersConf());
    setenv("CONTAINERS_CONF", containers_conf_.c_str(), 1);
    MustRun(probe);
  }
  MustRun({"podman", "rmi", "--force", kProbeImage});
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

Finished Platform::Berth(const std::vector<std::string>& arguments, absl::Duration limit) const {
  return StartBerth(arguments).Wait(limit);
}

Program Platform::StartBerth(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all = {Binary("berth")};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return Program(all);
}

Json Platform::BerthJson(std::vector<std::string> arguments) const {
  arguments.insert(arguments.end(), {"-o", "json"});
  const Finished finished = Berth(arguments);
  if (finished.exit_code != 0) {
    throw std::runtime_error(absl::StrCat("berth ", absl::StrJoin(arguments, " "), " ended with ",
                                          finished.exit_code, ":\n", finished.out, finished.err));
  }
  return Json::parse(finished.out);
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

void Platform::BuildHello(const std::string& name, const std::string& more) const {
  const testing::TempDir context;
  fs::copy_file(Binary("hello"), context.File("hello"));
  Write(context.File("Containerfile"),
        TextOf(absl::StrCat(kHelloFolder, "/Containerfile")) + more + "\n");
  MustRun({"podman", "build", "--quiet", "--tag", name, context.path()});
}

std::string Platform::WriteManifest(const std::string& app, const std::string& yaml) const {
  const std::string folder = folder_.File(app);
  Write(folder + "/berth.yaml", yaml);
  return folder;
}

std::optional<std::vector<Instance>> Platform::TryInstances(const std::string& app) const {
  const Finished status = Berth({"status", app, "-o", "json"});
  if (status.exit_code != 0) return std::nullopt;
  std::vector<Instance> instances;
  const Json document = Json::parse(status.out);
  for (const Json& item : document.at("instances")) {
    Instance instance;
    instance.id = item.at("id");
    instance.address = item.at("address");
    instance.release = std::stoull(item.at("release").get<std::string>());
    instance.phase = item.at("observed").at("phase");
    instance.wanted = item.at("intent") == "INTENT_RUN" && !item.at("draining").get<bool>();
    instances.push_back(std::move(instance));
  }
  return instances;
}

std::vector<Instance> Platform::Instances(const std::string& app) const {
  std::optional<std::vector<Instance>> instances = TryInstances(app);
  if (!instances) throw std::runtime_error("berth status fails");
  return *std::move(instances);
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
    const std::string path = absl::StrCat(folder(), "/log/", daemon, ".log");
    const std::vector<std::string> lines = absl::StrSplit(TextOf(path), '\n');
    const size_t shown = std::min(lines.size(), kLogLinesShown);
    std::cerr << "The end of " << path << ":\n";
    for (size_t i = lines.size() - shown; i < lines.size(); ++i) {
      std::cerr << "  | " << lines[i] << "\n";
    }
  }
}

}  // namespace berth::integration
