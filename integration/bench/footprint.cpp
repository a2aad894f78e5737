// What an idle Berth takes: memory, CPU, writes to disk, and how soon a restarted server serves;
// beside an idle etcd, and over what any process with gRPC takes.

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/testing/eventually.h"
#include "common/testing/temp_dir.h"
#include "integration/bench/log_time.h"
#include "integration/bench/process_cost.h"
#include "integration/bench/report.h"
#include "integration/harness/platform.h"

namespace berth::bench {
namespace {

namespace fs = std::filesystem;
using integration::MustRun;
using integration::Platform;
using integration::Program;

constexpr absl::Duration kRest = absl::Seconds(60);
constexpr absl::Duration kIdle = absl::Seconds(100);
constexpr absl::Duration kTraced = absl::Seconds(30);
constexpr absl::Duration kStartMax = absl::Seconds(30);
constexpr int kRestarts = 5;
constexpr char kHelloFolder[] = "k8s-free-deploy/examples/hello";

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Nothing happens in this time but what the processes do by themselves.
void LetPass(absl::Duration time) {
  (void)testing::Eventually(time, [] { return false; });
}

// The processes whose command line begins with `command`.
std::vector<pid_t> PidsOf(const std::string& command) {
  std::vector<pid_t> pids;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    std::string line = TextOf(entry.path() / "cmdline");
    for (char& c : line) c = c == '\0' ? ' ' : c;
    line.erase(0, line.rfind('/', line.find(' ')) + 1);
    if (absl::StartsWith(line, command)) pids.push_back(pid);
  }
  return pids;
}

Memory MemoryOfAll(const std::vector<pid_t>& pids) {
  Memory memory;
  for (const pid_t pid : pids) memory += MemoryOf(pid);
  return memory;
}

// How often the processes sync a file to disk, each second.
double SyncsPerSecond(const std::vector<pid_t>& pids) {
  const testing::TempDir folder;
  const std::string output = folder.File("trace");
  std::vector<std::string> strace = {
      "timeout", "--signal=INT", absl::StrCat(absl::ToInt64Seconds(kTraced)),   "strace",
      "-f",      "-e",           "trace=fsync,fdatasync,msync,sync_file_range", "-o",
      output};
  for (const pid_t pid : pids) strace.insert(strace.end(), {"-p", absl::StrCat(pid)});
  Program trace(strace);
  trace.Wait(kTraced * 2);
  int syncs = 0;
  for (absl::string_view line : absl::StrSplit(TextOf(output), '\n')) {
    if (absl::StrContains(line, "sync(") || absl::StrContains(line, "sync_file_range(")) ++syncs;
  }
  return syncs / absl::ToDoubleSeconds(kTraced);
}

// The hello example as the quickstart deploys it, with a value for its secret.
void DeployAsQuickstart(const Platform& platform) {
  platform.BuildHello();
  const testing::TempDir folder;
  std::ofstream(folder.File("value")) << "a value of some length";
  platform.BerthJson(
      {"secret", "set", "api-key", "--from-file", folder.File("value"), "--app", "hello"});
  platform.BerthJson({"deploy", kHelloFolder});
}

// From the command to the server's word in its log, so that waiting for it costs the server
// nothing.
absl::Duration TimeToServe(const Platform& platform) {
  const absl::Time begin = absl::Now();
  const Program server = platform.StartDaemon("server");
  std::optional<absl::Time> serves;
  testing::Eventually(kStartMax, [&] {
    serves = TimeOfLine(server.ErrSoFar(), {"berth-server serves"});
    return serves.has_value() || server.HasEnded();
  });
  if (!serves) throw std::runtime_error("the server does not start: " + server.ErrSoFar());
  return *serves - begin;
}

int Main() {
  std::map<std::string, pid_t> daemons;
  std::map<std::string, Memory> memory;
  std::map<std::string, double> cpu_percent;
  double syncs = 0;
  Samples to_serve;
  absl::Duration first_start;
  const testing::TempDir etcd_folder;
  {
    Platform platform;
    const absl::Time begin = absl::Now();
    platform.Up();
    first_start = absl::Now() - begin;
    DeployAsQuickstart(platform);
    const Program etcd({"etcd", "--data-dir", etcd_folder.path(), "--log-level", "error"});
    for (const char* daemon : {"server", "agent", "edge"}) {
      daemons[daemon] = platform.PidOf(daemon);
    }
    daemons["etcd"] = etcd.pid();
    LetPass(kRest);
    std::map<std::string, absl::Duration> before;
    for (const auto& [name, pid] : daemons) before[name] = CpuOf(pid);
    LetPass(kIdle);
    for (const auto& [name, pid] : daemons) {
      cpu_percent[name] = absl::FDivDuration(CpuOf(pid) - before[name], kIdle) * 100;
      memory[name] = MemoryOf(pid);
    }
    memory["podman system service"] = MemoryOfAll(PidsOf("podman"));
    memory["conmon"] = MemoryOfAll(PidsOf("conmon"));
    syncs = SyncsPerSecond({daemons["server"], daemons["agent"], daemons["edge"]});
    for (int i = 0; i < kRestarts; ++i) {
      platform.Kill("server");
      to_serve.Add(TimeToServe(platform));
      // The object has killed it; the next kill finds one that `berth up` started.
      platform.Up();
    }
  }
  const Program floor({fs::read_symlink("/proc/self/exe").parent_path() / "empty_grpc_server"});
  const bool floor_serves =
      testing::Eventually(kStartMax, [&] { return absl::StrContains(floor.ErrSoFar(), "serves"); });
  if (!floor_serves) throw std::runtime_error("the empty server does not serve");
  memory["an empty gRPC server (floor)"] = MemoryOf(floor.pid());

  Table table({"process", "PSS MB", "USS MB", "CPU % of a core, idle"});
  for (const auto& [name, used] : memory) {
    const auto cpu = cpu_percent.find(name);
    table.Add({name, Text(used.pss_mb), Text(used.uss_mb),
               cpu == cpu_percent.end() ? "" : absl::StrCat(std::round(cpu->second * 100) / 100)});
  }
  std::cout << table.ToString()
            << "server, restarted with its data, to serving: " << to_serve.Summary()
            << " ms\nberth up, the first time: " << Text(absl::ToDoubleMilliseconds(first_start))
            << " ms\n";
  const double idle = cpu_percent["server"] + cpu_percent["agent"] + cpu_percent["edge"];
  nlohmann::ordered_json result;
  result["bench"] = "footprint";
  result["server_pss_mb"] = Rounded(memory["server"].pss_mb);
  result["agent_pss_mb"] = Rounded(memory["agent"].pss_mb);
  result["edge_pss_mb"] = Rounded(memory["edge"].pss_mb);
  result["idle_cpu_percent"] = std::round(idle * 100) / 100;
  result["idle_fsyncs_per_second"] = Rounded(syncs);
  result["start_to_serving_ms"] = Rounded(to_serve.Median());
  std::cout << result.dump() << std::endl;
  return 0;
}

}  // namespace
}  // namespace berth::bench

int main() { return berth::bench::ExitCodeOf(berth::bench::Main); }
