#include "integration/harness/workstation.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <stdexcept>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace berth::integration {
namespace {

namespace fs = std::filesystem;

constexpr char kHelloFolder[] = "k8s-free-deploy/examples/hello";
constexpr char kProbeImage[] = "localhost/berth-probe";
constexpr int kHelloHttpPort = 8080;

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
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

Workstation::Workstation() : machine_(OwnMachine::Enter()), bin_(BinaryFolder()) {
  setenv("XDG_CONFIG_HOME", files_.File("config").c_str(), 1);
  setenv("XDG_STATE_HOME", files_.File("personal-state").c_str(), 1);
  for (const char* name : {"BERTH_SERVER", "BERTH_CONTEXT", "BERTH_ORG", "BERTH_APP", "BERTH_ENV",
                           "BERTH_TOKEN", "CONTAINERS_CONF"}) {
    unsetenv(name);
  }
}

Finished Workstation::Berth(const std::vector<std::string>& arguments, absl::Duration limit) const {
  return StartBerth(arguments).Wait(limit);
}

Program Workstation::StartBerth(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all = {Binary("berth")};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return Program(all);
}

Json Workstation::BerthJson(std::vector<std::string> arguments) const {
  arguments.insert(arguments.end(), {"-o", "json"});
  const Finished finished = Berth(arguments);
  if (finished.exit_code != 0) {
    throw std::runtime_error(absl::StrCat("berth ", absl::StrJoin(arguments, " "), " ended with ",
                                          finished.exit_code, ":\n", finished.out, finished.err));
  }
  return Json::parse(finished.out);
}

std::string Workstation::PreparePodman() const {
  std::string containers_conf;
  BuildHello(kProbeImage);
  const std::vector<std::string> probe = {"podman", "run", "--rm", kProbeImage, "--exit", "0"};
  const Finished tried = Run(probe);
  if (tried.exit_code != 0) {
    if (!IsKnownPodmanError(tried.err)) throw std::runtime_error(tried.err);
    containers_conf = files_.File("containers.conf");
    std::ofstream(containers_conf) << ContainersConf();
    setenv("CONTAINERS_CONF", containers_conf.c_str(), 1);
    MustRun(probe);
  }
  MustRun({"podman", "rmi", "--force", kProbeImage});
  return containers_conf;
}

void Workstation::BuildHello(const std::string& name, const std::string& more) const {
  const testing::TempDir context;
  fs::copy_file(Binary("hello"), context.File("hello"));
  std::ofstream(context.File("Containerfile"))
      << TextOf(absl::StrCat(kHelloFolder, "/Containerfile")) << more << "\n";
  MustRun({"podman", "build", "--quiet", "--tag", name, context.path()});
}

std::string Workstation::WriteManifest(const std::string& app, const std::string& yaml) const {
  const std::string folder = files_.File(app);
  fs::create_directories(folder);
  std::ofstream(folder + "/berth.yaml") << yaml;
  return folder;
}

std::optional<std::vector<Instance>> Workstation::TryInstances(const std::string& app) const {
  const Finished status = Berth({"status", app, "-o", "json"});
  if (status.exit_code != 0) return std::nullopt;
  std::vector<Instance> instances;
  const Json document = Json::parse(status.out);
  for (const Json& item : document.at("instances")) {
    Instance instance;
    instance.id = item.at("id");
    instance.host = item.at("host");
    instance.address = item.at("address");
    instance.release = std::stoull(item.at("release").get<std::string>());
    instance.phase = item.at("observed").at("phase");
    instance.wanted = item.at("intent") == "INTENT_RUN" && !item.at("draining").get<bool>();
    instances.push_back(std::move(instance));
  }
  return instances;
}

std::vector<Instance> Workstation::Instances(const std::string& app) const {
  std::optional<std::vector<Instance>> instances = TryInstances(app);
  if (!instances) throw std::runtime_error("berth status fails");
  return *std::move(instances);
}

std::vector<std::string> AsPrinted(const Json& printed, const std::vector<std::string>& more) {
  std::vector<std::string> words = absl::StrSplit(printed.at("command").get<std::string>(), ' ');
  if (words.front() != "berth") throw std::runtime_error(words.front() + " is not berth");
  words.erase(words.begin());
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace berth::integration
