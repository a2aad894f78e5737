// How long a deploy takes, beside `podman run -d` of the same image: from the command to the first
// answer, in turns; how much of that is Berth's own, until its agent acts; and whether an update
// under load fails requests.

#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "integration/bench/log_time.h"
#include "integration/bench/report.h"
#include "integration/harness/http.h"
#include "integration/harness/platform.h"
#include "integration/harness/traffic.h"

namespace berth::bench {
namespace {

using integration::MustRun;
using integration::Platform;
using integration::Program;
using integration::TimeToAnswer;

constexpr int kRounds = 30;
constexpr int kFirstPort = 20'000;
constexpr absl::Duration kAnswerMax = absl::Seconds(30);
constexpr int kRequestsPerSecond = 500;
constexpr char kProbeEvery[] = "{http: {port: http, path: /healthz}, interval: 100ms}";

std::string Manifest(const std::string& app, int port, const std::string& version, int replicas) {
  return absl::StrCat("schema: berth/v1\napp: ", app,
                      "\nimage: localhost/hello\nprocesses:\n  web:\n    replicas: ", replicas,
                      "\n    ports: {http: 8080}\n    resources: {cpu: 50m, memory: 16MiB}\n"
                      "    checks: {ready: ",
                      kProbeEvery, "}\n    env: {HELLO_VERSION: \"", version,
                      "\"}\nroutes:\n  plain: {listen: tcp/", port, ", to: web.http}\n");
}

absl::Duration MustAnswer(const std::string& url) {
  const std::optional<absl::Duration> took = TimeToAnswer(url, kAnswerMax);
  if (!took.has_value()) throw std::runtime_error(url + " does not answer");
  return *took;
}

// When the agent began to start the app's first instance, as its log has it.
absl::Time WhenAgentActed(const Platform& platform, const std::string& instance) {
  std::ifstream file(platform.folder() + "/log/agent.log");
  const std::string log((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::optional<absl::Time> time = TimeOfLine(log, {"starting an instance", instance});
  if (!time) throw std::runtime_error("the agent's log has no start of " + instance);
  return *time;
}

absl::Time WhenReleased(const Platform& platform, const std::string& app) {
  const integration::Json releases =
      platform.BerthJson({"release", "list", "--app", app}).at("items");
  absl::Time time;
  std::string error;
  const std::string text = releases.at(0).at("createTime");
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error)) throw std::runtime_error(error);
  return time;
}

struct DeployTimes {
  Samples to_answer;
  Samples command_to_agent;
  Samples release_to_agent;
};

void DeployOnce(const Platform& platform, int round, DeployTimes* times) {
  const std::string app = absl::StrCat("bench-", round);
  const int port = kFirstPort + round;
  const std::string folder = platform.WriteManifest(app, Manifest(app, port, "1", 1));
  const absl::Time begin = absl::Now();
  Program deploy = platform.StartBerth({"deploy", folder});
  times->to_answer.Add(MustAnswer(absl::StrCat("http://127.0.0.1:", port, "/")));
  if (deploy.Wait(kAnswerMax).exit_code != 0) throw std::runtime_error("a deploy failed");
  const absl::Time acted = WhenAgentActed(platform, platform.Instances(app).front().id);
  times->command_to_agent.Add(acted - begin);
  times->release_to_agent.Add(acted - WhenReleased(platform, app));
  platform.BerthJson({"scale", "web=0", "--app", app});
}

absl::Duration RunOnce() {
  constexpr char kAddress[] = "10.89.77.10";
  const absl::Time begin = absl::Now();
  Program run({"podman", "run", "--detach", "--name", "bench", "--network", "bench", "--ip",
               kAddress, "--memory", "16m", "localhost/hello"});
  MustAnswer(absl::StrCat("http://", kAddress, ":8080/"));
  const absl::Duration took = absl::Now() - begin;
  run.Wait(kAnswerMax);
  MustRun({"podman", "rm", "--force", "--time", "0", "bench"});
  return took;
}

// Requests that failed while a new version replaced three instances of the old one.
size_t FailedDuringRoll(const Platform& platform) {
  const int port = kFirstPort - 1;
  const std::string folder = platform.WriteManifest("roll", Manifest("roll", port, "1", 3));
  platform.BerthJson({"deploy", folder});
  const std::string url = absl::StrCat("http://127.0.0.1:", port, "/");
  integration::Traffic traffic(url, kRequestsPerSecond);
  platform.WriteManifest("roll", Manifest("roll", port, "2", 3));
  platform.BerthJson({"deploy", folder});
  const integration::TrafficReport report = traffic.Stop();
  std::cout << "rolling update: " << report.answered << " requests answered, "
            << report.failures.size() << " failed\n";
  return report.failures.size();
}

int Main() {
  Platform platform;
  platform.Up();
  platform.BuildHello();
  MustRun({"podman", "network", "create", "--subnet", "10.89.77.0/24", "bench"});
  DeployTimes warm_up;
  DeployOnce(platform, 0, &warm_up);
  RunOnce();
  DeployTimes deploy;
  Samples podman;
  for (int round = 1; round <= kRounds; ++round) {
    DeployOnce(platform, round, &deploy);
    podman.Add(RunOnce());
    std::cerr << "round " << round << " of " << kRounds << "\n";
  }
  const size_t failed = FailedDuringRoll(platform);

  Table table({"milliseconds, median (smallest-largest)", "median", "p99"});
  auto add = [&](const std::string& name, const Samples& samples) {
    table.Add({name, samples.Summary(), Text(samples.Percentile(99))});
  };
  add("berth deploy to the first 200 through the edge", deploy.to_answer);
  add("podman run -d to the first 200", podman);
  add("berth deploy to the agent acting", deploy.command_to_agent);
  add("release made to the agent acting", deploy.release_to_agent);
  std::cout << table.ToString();
  nlohmann::ordered_json result;
  result["bench"] = "deploy";
  result["vs_podman_run"] = std::round(deploy.to_answer.Median() / podman.Median() * 100) / 100;
  result["p99_ms"] = Rounded(deploy.to_answer.Percentile(99));
  result["own_share_p99_ms"] = Rounded(deploy.command_to_agent.Percentile(99));
  result["failed_during_roll"] = failed;
  std::cout << result.dump() << std::endl;
  return 0;
}

}  // namespace
}  // namespace berth::bench

int main() { return berth::bench::ExitCodeOf(berth::bench::Main); }
