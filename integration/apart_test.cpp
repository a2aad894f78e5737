// The services apart: each in a process of its own, over TLS, with its log in PostgreSQL.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/testing/eventually.h"
#include "common/testing/postgres_fixture.h"
#include "common/testing/temp_dir.h"
#include "integration/harness/own_machine.h"
#include "integration/harness/program.h"

namespace berth::integration {
namespace {

namespace fs = std::filesystem;

constexpr char kAuth[] = "127.0.0.1:7443";
constexpr const char* kServices[] = {"auth", "config", "scheduler", "edge-router", "secrets"};
// A process that was killed holds the lease of its log for 15 seconds more.
constexpr absl::Duration kBackWithin = absl::Seconds(60);
constexpr char kManifest[] =
    "schema: berth/v1\napp: hello\n"
    "image: registry.example.com/hello@sha256:"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
    "processes:\n  web: {ports: {http: 8080}, resources: {cpu: 50m, memory: 16MiB}}\n";

void Write(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path) << text;
}

class Apart {
 public:
  Apart() : machine_(OwnMachine::Enter()), connection_(cluster_.NewDatabase()) {
    const char* bin = std::getenv("BERTH_BIN");
    bin_ = bin != nullptr ? fs::absolute(bin) : fs::read_symlink("/proc/self/exe").parent_path();
    setenv("XDG_CONFIG_HOME", folder_.File("config-home").c_str(), 1);
    setenv("XDG_STATE_HOME", folder_.File("state-home").c_str(), 1);
    int port = 7443;
    for (const std::string service : kServices) {
      WriteSettings(service, port++);
      Start(service);
      // The others join with what auth leaves for them.
      if (service == "auth" && !testing::Eventually(kBackWithin, [this] {
            return fs::exists(folder_.File("auth/join-tokens/secrets"));
          })) {
        throw std::runtime_error("auth: " + processes_.at(service)->ErrSoFar());
      }
    }
    MustSucceed(
        {"login", "--server", kAuth, "--ca-file", folder_.File("auth/ca.pem"), "--org", "home"});
    Write(folder_.File("app/berth.yaml"), kManifest);
  }

  ~Apart() { processes_.clear(); }

  void Start(const std::string& service) {
    processes_[service] = std::make_unique<Program>(std::vector<std::string>{
        absl::StrCat(bin_, "/berth-", service), "--settings", folder_.File(service + ".yaml")});
  }

  // Ends it without a warning; it does not run when this returns.
  void Kill(const std::string& service) { processes_.at(service).reset(); }

  Finished Berth(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), bin_ + "/berth");
    return Run(arguments);
  }

  // Again and again, since what was only just started may not serve yet.
  std::string MustSucceed(const std::vector<std::string>& arguments) const {
    Finished finished;
    if (!testing::Eventually(kBackWithin, [&] {
          finished = Berth(arguments);
          return finished.exit_code == 0;
        })) {
      throw std::runtime_error(finished.err);
    }
    return finished.out;
  }

  std::string app() const { return folder_.File("app"); }

 private:
  void WriteSettings(const std::string& service, int port) {
    std::string text = absl::StrCat("listen: 127.0.0.1:", port, "\nstate: ", folder_.File(service),
                                    "\nlog: {postgres: \"", connection_, "\"}\n");
    if (service != "auth") {
      absl::StrAppend(&text, "server: ", kAuth, "\nca_file: ", folder_.File("auth/ca.pem"),
                      "\njoin_token_file: ", folder_.File("auth/join-tokens/" + service), "\n");
    }
    Write(folder_.File(service + ".yaml"), text);
  }

  const OwnMachine& machine_;
  testing::PostgresCluster cluster_;
  const std::string connection_;
  testing::TempDir folder_;
  std::string bin_;
  std::map<std::string, std::unique_ptr<Program>> processes_;
};

TEST_CASE("services apart are found from auth's address, and keep what they answered when killed") {
  Apart apart;
  apart.MustSucceed({"deploy", "--no-wait", apart.app()});
  const std::string releases =
      apart.MustSucceed({"release", "list", "--app", "hello", "-o", "json"});
  CHECK_THAT(releases, Catch::Contains("registry.example.com/hello"));
  // The scheduler has heard of it from config.
  const auto placed = [&] { return apart.Berth({"status", "hello"}).out; };
  REQUIRE(testing::Eventually(kBackWithin, [&] {
    return placed().find("release 1 is being rolled out") != std::string::npos;
  }));

  for (const std::string service : kServices) {
    INFO(service);
    apart.Kill(service);
    apart.Start(service);
    CHECK(apart.MustSucceed({"release", "list", "--app", "hello", "-o", "json"}) == releases);
    CHECK_THAT(apart.MustSucceed({"status", "hello"}),
               Catch::Contains("release 1 is being rolled out"));
    CHECK(apart.MustSucceed({"whoami"}).find("user/admin") != std::string::npos);
  }
}

}  // namespace
}  // namespace berth::integration
