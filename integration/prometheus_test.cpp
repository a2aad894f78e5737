// What Berth tells a Prometheus, with a real one.

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/testing/eventually.h"
#include "integration/harness/hello_manifest.h"
#include "integration/harness/http.h"
#include "integration/harness/platform.h"
#include "integration/harness/program.h"
#include "integration/harness/services_apart.h"
#include "integration/harness/serving.h"

namespace berth::integration {
namespace {

constexpr char kPrometheusFolder[] = "k8s-free-deploy/prometheus";
constexpr char kPrometheus[] = "http://127.0.0.1:9090";
constexpr char kRoutedUrl[] = "http://127.0.0.1:7070/";

// By job, as a configuration of Prometheus has them.
using PageMap = std::map<std::string, std::string>;

// Those of prometheus.yml.
const PageMap& Pages() {
  static const auto* const pages = new PageMap{{"berth-server", "http://127.0.0.1:7480"},
                                               {"berth-agent", "http://127.0.0.1:7481"},
                                               {"berth-edge", "http://127.0.0.1:7482"}};
  return *pages;
}

// Those of prometheus-services-apart.yml.
const PageMap& PagesApart() {
  static const auto* const pages = new PageMap{
      {"berth-agent", "http://127.0.0.1:7481"},     {"berth-edge", "http://127.0.0.1:7482"},
      {"berth-auth", "http://127.0.0.1:7483"},      {"berth-config", "http://127.0.0.1:7484"},
      {"berth-scheduler", "http://127.0.0.1:7485"}, {"berth-edge-router", "http://127.0.0.1:7486"},
      {"berth-secrets", "http://127.0.0.1:7487"}};
  return *pages;
}

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// A Prometheus with the files that are shipped, which scrapes every second.
class Prometheus {
 public:
  explicit Prometheus(const Workstation& workstation,
                      const std::string& configuration = "prometheus.yml")
      : folder_(workstation.files().File("prometheus")) {
    std::filesystem::create_directories(folder_);
    std::filesystem::copy_file(absl::StrCat(kPrometheusFolder, "/berth.rules.yml"),
                               folder_ + "/berth.rules.yml",
                               std::filesystem::copy_options::overwrite_existing);
    std::ofstream(folder_ + "/prometheus.yml")
        << absl::StrReplaceAll(TextOf(absl::StrCat(kPrometheusFolder, "/", configuration)),
                               {{"_interval: 15s", "_interval: 1s"}});
    program_ = std::make_unique<Program>(std::vector<std::string>{
        "prometheus", "--config.file=" + folder_ + "/prometheus.yml",
        "--storage.tsdb.path=" + folder_ + "/data", "--web.listen-address=127.0.0.1:9090"});
  }

  // What its API answers; null where it does not.
  static Json Ask(const std::string& path) {
    const Page page = Get(kPrometheus + path);
    if (page.status != 200) return nullptr;
    return Json::parse(page.body).at("data");
  }

  // The jobs whose targets are up.
  static std::set<std::string> JobsUp() {
    std::set<std::string> jobs;
    const Json answer = Ask("/api/v1/targets");
    if (answer.is_null()) return jobs;
    for (const Json& target : answer.at("activeTargets")) {
      if (target.at("health") == "up") jobs.insert(target.at("labels").at("job"));
    }
    return jobs;
  }

  // Waits until every page is scraped, and asks each for its health.
  void CheckAllUp(const PageMap& pages) const {
    std::set<std::string> jobs;
    for (const auto& [job, address] : pages) jobs.insert(job);
    const bool all_up = testing::Eventually(absl::Seconds(30), [&] { return JobsUp() == jobs; });
    INFO(program_->ErrSoFar());
    REQUIRE(all_up);
    for (const auto& [job, address] : pages) {
      INFO(job);
      CHECK(Get(address + "/healthz").status == 200);
      const Page ready = Get(address + "/readyz");
      INFO(ready.body);
      CHECK(ready.status == 200);
    }
  }

  // The one value of an expression; nothing while there is none.
  static std::optional<double> Value(const std::string& expression) {
    const Json answer = Ask("/api/v1/query?query=" + Escaped(expression));
    if (answer.is_null() || answer.at("result").size() != 1) return std::nullopt;
    return std::stod(answer.at("result").at(0).at("value").at(1).get<std::string>());
  }

 private:
  static std::string Escaped(const std::string& text) {
    std::string escaped;
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      absl::StrAppend(&escaped, std::isalnum(byte)
                                    ? std::string(1, c)
                                    : absl::StrCat("%", absl::Hex(byte, absl::kZeroPad2)));
    }
    return escaped;
  }

  const std::string folder_;
  std::unique_ptr<Program> program_;
};

// A daemon of the test's machine that has joined the services apart, until the object's end.
class JoinedHere {
 public:
  JoinedHere(const ServicesApart& services, const Workstation& workstation, const std::string& noun,
             const std::string& containers_conf)
      : workstation_(workstation), state_(workstation.files().File(noun)) {
    std::vector<std::string> more = {"--state", state_};
    if (!containers_conf.empty()) {
      more.insert(more.end(), {"--containers-conf", containers_conf});
    }
    const std::string added = services.MustSucceed({noun, "add", "alpha", "-o", "json"});
    workstation.BerthJson(AsPrinted(Json::parse(added), more));
  }
  ~JoinedHere() { (void)workstation_.Berth({"down", "--purge", "--yes", "--state", state_}); }

 private:
  const Workstation& workstation_;
  const std::string state_;
};

// Every metric that the text names.
std::set<std::string> MetricsNamedIn(const std::string& text) {
  static const std::regex name("\\b(berth|grpc|process)_[a-z0-9_]+\\b");
  std::set<std::string> names;
  for (auto match = std::sregex_iterator(text.begin(), text.end(), name);
       match != std::sregex_iterator(); ++match) {
    names.insert(match->str());
  }
  return names;
}

void CheckWellFormed(const Workstation& workstation, const Page& page) {
  REQUIRE(page.status == 200);
  const std::string file = workstation.files().File("page.metrics");
  std::ofstream(file) << page.body;
  const Finished checked = Run({"sh", "-c", "promtool check metrics < " + file});
  INFO(checked.err);
  CHECK(checked.exit_code == 0);
  CHECK(checked.err == "");
}

TEST_CASE("a Prometheus with the shipped files scrapes every daemon, and sees what happens") {
  Platform platform;
  platform.Up();
  platform.BuildHello();
  const Prometheus prometheus(platform);
  prometheus.CheckAllUp(Pages());

  const std::optional<double> before =
      Prometheus::Value("grpc_server_handled_total{grpc_method=\"Deploy\",grpc_code=\"OK\"}");
  CHECK(before == 0);
  platform.BerthJson(
      {"deploy", platform.WriteManifest("hello", HelloManifest().ToYaml() +
                                                     "routes:\n  plain: {listen: tcp/7070, to: "
                                                     "web.http}\n")});
  REQUIRE(Get(kRoutedUrl).status == 200);
  const std::map<std::string, double> expected = {
      {"grpc_server_handled_total{grpc_method=\"Deploy\",grpc_code=\"OK\"}", 1},
      {"berth_scheduler_rollouts_ended_total{outcome=\"succeeded\"}", 1},
      {"berth_scheduler_instances{phase=\"ready\"}", 2},
      {"berth_scheduler_hosts{presence=\"up\"}", 1},
      {"berth_agent_instances{phase=\"ready\"}", 2},
      {"berth_agent_driver_call_seconds_count{operation=\"start\"}", 2},
      {"berth_edge_connections_total{result=\"routed\"}", 1},
      {"sum(berth_ready)", 3},
      {"count(berth_log_serving == 1)", 5},
      {"sum(berth_metrics_series_cut)", 0},
  };
  for (const auto& [expression, value] : expected) {
    INFO(expression);
    std::optional<double> seen;
    CHECK(testing::Eventually(absl::Seconds(10), [&, &name = expression, &wanted = value] {
      seen = Prometheus::Value(name);
      return seen.has_value() && *seen >= wanted;
    }));
    CHECK(seen == value);
  }
  CHECK(Prometheus::Value("berth_edge_bytes_total{direction=\"to_client\"}").value_or(0) > 0);
  CHECK(Prometheus::Value("berth_log_position{service=\"scheduler\"}").value_or(0) > 1);
  const Json doctor = platform.BerthJson({"doctor", "--state", platform.folder()});
  int daemons = 0;
  for (const Json& check : doctor.at("checks")) daemons += check.at("found") == "serves" ? 1 : 0;
  CHECK(daemons == 3);
  // Nothing that rules wake somebody for is so on a healthy platform.
  const Json alerts = Prometheus::Ask("/api/v1/alerts");
  REQUIRE_FALSE(alerts.is_null());
  for (const Json& alert : alerts.at("alerts")) {
    INFO(alert.dump());
    CHECK(alert.at("state") != "firing");
  }

  platform.Kill("edge");
  CHECK(testing::Eventually(absl::Seconds(10),
                            [] { return Prometheus::Value("up{job=\"berth-edge\"}") == 0; }));
}

TEST_CASE("each page is well-formed and bounded, and has what the rules name") {
  Platform platform;
  platform.Up();
  platform.BuildHello();
  platform.BerthJson(
      {"deploy", platform.WriteManifest("zebra", HelloManifest{.app = "zebra"}.ToYaml())});
  std::set<std::string> offered;
  for (const auto& [job, address] : Pages()) {
    INFO(job);
    const Page page = Get(address + "/metrics");
    CheckWellFormed(platform, page);
    offered.merge(MetricsNamedIn(page.body));
    // What people name stays out, and with it what makes pages grow.
    for (const Instance& instance : platform.Instances("zebra")) {
      CHECK_FALSE(absl::StrContains(page.body, instance.id));
    }
    CHECK_FALSE(absl::StrContains(page.body, "zebra"));
    CHECK_FALSE(absl::StrContains(page.body, "production"));
    CHECK(page.body.size() < 400'000);
  }
  for (const std::string& name :
       MetricsNamedIn(TextOf(absl::StrCat(kPrometheusFolder, "/berth.rules.yml")))) {
    INFO(name);
    CHECK(offered.contains(name));
  }
}

TEST_CASE("a Prometheus scrapes each service that runs apart, an agent and an edge") {
  const Workstation workstation;
  const std::string containers_conf = workstation.PreparePodman();
  const ServicesApart services(&workstation);
  const JoinedHere host(services, workstation, "host", containers_conf);
  const JoinedHere edge(services, workstation, "edge", "");
  const Prometheus prometheus(workstation, "prometheus-services-apart.yml");
  prometheus.CheckAllUp(PagesApart());
  for (const auto& [job, address] : PagesApart()) {
    INFO(job);
    CheckWellFormed(workstation, Get(address + "/metrics"));
  }
  const std::map<std::string, double> expected = {
      {"sum(berth_ready)", 7},
      {"count(berth_log_serving == 1)", 5},
      {"berth_scheduler_hosts{presence=\"up\"}", 1},
      {"count(count by (grpc_service) (grpc_server_started_total))", 5},
  };
  for (const auto& [expression, value] : expected) {
    INFO(expression);
    CHECK(testing::Eventually(absl::Seconds(10), [&, &name = expression, &wanted = value] {
      return Prometheus::Value(name) == wanted;
    }));
  }
}

TEST_CASE("the rules are right, and say of made-up numbers what they should") {
  const std::string rules = absl::StrCat(kPrometheusFolder, "/berth.rules.yml");
  const Finished checked = Run({"promtool", "check", "rules", rules});
  INFO(checked.out << checked.err);
  CHECK(checked.exit_code == 0);
  const Finished tested =
      Run({"promtool", "test", "rules", absl::StrCat(kPrometheusFolder, "/berth.rules.test.yml")});
  INFO(tested.out << tested.err);
  CHECK(tested.exit_code == 0);
}

TEST_CASE("a page that would leave the machine is refused") {
  Platform platform;
  platform.Up();
  platform.Kill("server");
  std::ofstream(platform.folder() + "/server.yaml", std::ios::app) << "http: \"0.0.0.0:7480\"\n";
  const Finished refused = platform.Berth({"up", "--state", platform.folder()});
  CHECK(refused.exit_code != 0);
  CHECK_THAT(refused.err, Catch::Contains("plain HTTP is served on the loopback only"));
}

}  // namespace
}  // namespace berth::integration
