// An image from a registry: a deploy resolves its tag, and the host pulls what that stood for.

#include <catch2/catch.hpp>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/testing/eventually.h"
#include "integration/harness/hello_manifest.h"
#include "integration/harness/http.h"
#include "integration/harness/platform.h"
#include "integration/harness/serving.h"

namespace berth::integration {
namespace {

using Catch::Contains;

constexpr char kRegistriesFolder[] = "/etc/containers/registries.conf.d";
constexpr char kAddress[] = "127.0.0.1:5000";
constexpr char kImage[] = "127.0.0.1:5000/acme/hello:1";
constexpr int kNotFound = 3;
constexpr int kUnavailable = 7;

// A registry on the test's machine, without TLS, which the machine's Podman is told.
class Registry {
 public:
  explicit Registry(const Workstation& machine) : folder_(machine.files().path()) {
    // The machine's folder is another one from here on, for this test alone.
    MustRun({"mount", "-t", "tmpfs", "tmpfs", kRegistriesFolder});
    std::ofstream(absl::StrCat(kRegistriesFolder, "/test.conf"))
        << "[[registry]]\nlocation = \"" << kAddress << "\"\ninsecure = true\n";
    std::ofstream(folder_ + "/registry.yml")
        << "version: 0.1\nlog: {level: error}\nhttp: {addr: " << kAddress << "}\n"
        << "storage: {filesystem: {rootdirectory: " << folder_ << "/registry}}\n";
    Start();
  }
  void Start() {
    process_ = std::make_unique<Program>(
        std::vector<std::string>{"docker-registry", "serve", folder_ + "/registry.yml"});
    REQUIRE(TimeToAnswer(absl::StrCat("http://", kAddress, "/v2/"), absl::Seconds(20)));
  }
  void Stop() { process_.reset(); }

  // Makes the tag stand for a hello with this label, which this machine then forgets.
  void Push(const Workstation& machine, const std::string& label) const {
    machine.BuildHello(kImage, absl::StrCat("LABEL made=", label, "\n"));
    MustRun({"podman", "push", "--quiet", kImage});
    MustRun({"podman", "rmi", "--force", kImage});
  }

 private:
  const std::string folder_;
  std::unique_ptr<Program> process_;
};

std::string ImageOf(const Platform& platform, const std::string& release) {
  const Json releases = platform.BerthJson({"release", "list", "--app", "hello"});
  for (const Json& item : releases.at("items")) {
    if (item.at("number") == release) return item.at("image");
  }
  return "";
}

TEST_CASE("a release runs what its tag stood for when it was deployed") {
  Platform platform;
  Registry registry(platform);
  platform.Up();
  registry.Push(platform, "first");
  const std::string folder =
      platform.WriteManifest("hello", HelloManifest{.image = kImage}.ToYaml());
  CHECK(platform.BerthJson({"deploy", folder}).at("release") == "1");
  REQUIRE(WhyNotServing(platform, "hello", 2, "1") == "");
  const std::string first = ImageOf(platform, "1");
  CHECK_THAT(first, Contains("127.0.0.1:5000/acme/hello@sha256:"));
  CHECK(platform.BerthJson({"deploy", folder}).at("unchanged") == true);

  registry.Push(platform, "second");
  CHECK(platform.BerthJson({"deploy", folder}).at("release") == "2");
  CHECK(ImageOf(platform, "2") != first);

  const Finished missing = platform.Berth(
      {"deploy", platform.WriteManifest(
                     "hello", HelloManifest{.image = absl::StrCat(kImage, "-none")}.ToYaml())});
  CHECK(missing.exit_code == kNotFound);
  CHECK_THAT(missing.err, Contains("manifest unknown"));

  registry.Stop();
  platform.WriteManifest("hello", HelloManifest{.image = kImage}.ToYaml());
  const Finished away = platform.Berth({"deploy", folder});
  CHECK(away.exit_code == kUnavailable);
  CHECK_THAT(away.err, Contains("connection refused") && Contains("by its digest"));
  // What was pulled needs no registry any more.
  CHECK(platform.Berth({"restart", "--app", "hello"}).exit_code == 0);
  CHECK(WhyNotServing(platform, "hello", 2, "1") == "");
}

}  // namespace
}  // namespace berth::integration
