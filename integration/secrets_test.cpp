// Secrets as a person handles them, and a search for copies of a value wherever it should not be.

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/testing/temp_dir.h"
#include "integration/harness/core_dump.h"
#include "integration/harness/hello_manifest.h"
#include "integration/harness/http.h"
#include "integration/harness/platform.h"

namespace berth::integration {
namespace {

using Catch::Contains;

// What `berth` ends with; cli/exit_code.h promises that scripts may rely on them.
constexpr int kUsage = 2;
constexpr int kNotFound = 3;
constexpr int kForbidden = 4;
constexpr int kConflict = 5;
constexpr int kInvalid = 8;

// Found nowhere but where it is put. A piece of it is as telling as the whole: what a register or a
// buffer of a cipher leaves behind is never much longer.
const std::vector<std::string> kCanaryPieces = {"q7Zt-canary-Vw3n", "XkP0-canary-Jd8r",
                                                "m2Ls-canary-Yb6c"};
std::string Canary() { return absl::StrCat(kCanaryPieces[0], kCanaryPieces[1], kCanaryPieces[2]); }

Platform& Shared() {
  static Platform platform;
  static const bool is_up = [] {
    platform.Up();
    return true;
  }();
  (void)is_up;
  return platform;
}

// `berth secret` in the environment of an app that need not be deployed.
Finished Secret(std::vector<std::string> arguments, const std::string& app = "shop") {
  arguments.insert(arguments.begin(), "secret");
  arguments.insert(arguments.end(), {"--app", app});
  return Shared().Berth(arguments);
}

Json SecretJson(std::vector<std::string> arguments, const std::string& app = "shop") {
  arguments.insert(arguments.begin(), "secret");
  arguments.insert(arguments.end(), {"--app", app});
  return Shared().BerthJson(arguments);
}

void Write(const std::string& file, const std::string& bytes) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << bytes;
  out.close();
  REQUIRE(out.good());
}

// Where pieces of the canary are: in the platform's folder, or in a text that has a name.
std::vector<std::string> CopiesInFiles(const std::string& folder) {
  std::vector<std::string> copies;
  for (const std::string& piece : kCanaryPieces) {
    for (const std::string& file : FilesWith(folder, piece)) copies.push_back(file);
  }
  return copies;
}

bool HasCopy(const std::string& file) {
  for (const std::string& piece : kCanaryPieces) {
    if (FileContains(file, piece)) return true;
  }
  return false;
}

TEST_CASE("a secret's life: set, read, staged, activated, deleted") {
  const testing::TempDir folder;
  const std::string value = std::string("\0one\n\xff", 6);
  Write(folder.File("one"), value);
  Write(folder.File("two"), "two");

  const Finished set = Secret({"set", "token", "--from-file", folder.File("one")});
  REQUIRE(set.exit_code == 0);
  CHECK(set.out == "");
  CHECK_THAT(set.err, Contains("token: version 1 is active; instances that use it"));
  CHECK(Secret({"get", "token"}).out == value);
  CHECK_THAT(Secret({"set", "token", "--from-file", folder.File("one")}).err,
             Contains("has this value already"));

  const Finished staged = Secret({"set", "token", "--stage", "--from-file", folder.File("two")});
  CHECK(staged.exit_code == 0);
  CHECK_THAT(staged.err, Contains("berth secret activate token 2"));
  CHECK(Secret({"get", "token"}).out == value);
  CHECK(Secret({"get", "token", "--version", "2"}).out == "two");
  const Json list = SecretJson({"list"});
  REQUIRE(list.at("items").size() == 1);
  CHECK(list.at("items")[0].at("name") == "token");
  CHECK(list.at("items")[0].at("activeVersion") == "1");
  CHECK(list.at("items")[0].at("newestVersion") == "2");
  CHECK(list.at("items")[0].at("updatedBy") == "user/admin");
  const Json versions = SecretJson({"versions", "token"});
  REQUIRE(versions.at("items").size() == 2);
  CHECK(versions.at("items")[0].at("active") == false);
  CHECK(versions.at("items")[1].at("sizeBytes") == "6");

  CHECK(Secret({"activate", "token", "2"}).exit_code == 0);
  CHECK(Secret({"get", "token"}).out == "two");
  CHECK(Secret({"delete", "token", "--version", "2", "--yes"}).exit_code == kConflict);
  CHECK(Secret({"delete", "token", "--version", "1", "--yes"}).exit_code == 0);
  CHECK(Secret({"get", "token", "--version", "1"}).exit_code == kNotFound);

  // What was answered is there after a crash.
  Shared().Kill("server");
  Shared().Up();
  CHECK(Secret({"get", "token"}).out == "two");

  CHECK(Secret({"delete", "token", "--yes"}).exit_code == 0);
  const Finished gone = Secret({"get", "token"});
  CHECK(gone.exit_code == kNotFound);
  CHECK(gone.out == "");
  CHECK(SecretJson({"list"}).at("items").empty());
  // A number is never used again.
  CHECK(SecretJson({"set", "token", "--from-file", folder.File("two")})
            .at("items")[0]
            .at("version") == "3");
}

TEST_CASE("a value comes from standard input, and from the command line with a warning") {
  const testing::TempDir folder;
  Write(folder.File("value"), "from a pipe");
  MustRun({"sh", "-c", "exec \"$0\" secret set piped - --app pipes <\"$1\"",
           Shared().Binary("berth"), folder.File("value")});
  CHECK(Secret({"get", "piped"}, "pipes").out == "from a pipe");
  const Finished warned = Secret({"set", "a=first", "b=x=y"}, "pipes");
  CHECK(warned.exit_code == 0);
  CHECK_THAT(warned.err, Contains("warning: the value of a is in the shell's history"));
  CHECK_THAT(warned.err, !Contains("first"));
  CHECK(Secret({"get", "a"}, "pipes").out == "first");
  CHECK(Secret({"get", "b"}, "pipes").out == "x=y");
  Write(folder.File(".env"), "DATABASE_URL='postgres://shop'\nA=second\n");
  CHECK(Secret({"import", folder.File(".env"), "--stage"}, "pipes").exit_code == 0);
  CHECK(Secret({"get", "database-url"}, "pipes").out == "postgres://shop");
  CHECK(Secret({"get", "a"}, "pipes").out == "first");
  CHECK(Secret({"get", "a", "--version", "2"}, "pipes").out == "second");
}

TEST_CASE("what is wrong with a secret is said, and nothing is changed") {
  const testing::TempDir folder;
  Write(folder.File("value"), "value");
  Write(folder.File("large"), std::string(64 * 1024 + 1, 'x'));
  const std::string value = folder.File("value");
  const std::string app = "wrong";
  CHECK(Secret({"set", "Token", "--from-file", value}, app).exit_code == kUsage);
  CHECK(Secret({"set", "token"}, app).exit_code == kUsage);
  CHECK(Secret({"set", "a", "b", "--from-file", value}, app).exit_code == kUsage);
  CHECK(Secret({"set", "token", "--from-file", folder.File("large")}, app).exit_code == kInvalid);
  CHECK(Secret({"set", "token", "--from-file", folder.File("none")}, app).exit_code == kNotFound);
  CHECK(Secret({"activate", "token", "1"}, app).exit_code == kNotFound);
  CHECK(Secret({"activate", "token", "x"}, app).exit_code == kUsage);
  CHECK(Secret({"versions", "token"}, app).exit_code == kNotFound);
  CHECK(Secret({"get", "token", "-o", "json"}, app).exit_code == kUsage);
  // Nobody is here to confirm it.
  CHECK(Secret({"delete", "token"}, app).exit_code == kUsage);
  CHECK(SecretJson({"list"}, app).at("items").empty());
}

TEST_CASE("without a valid token nobody sets or reads a secret") {
  const testing::TempDir folder;
  Write(folder.File("value"), "value");
  REQUIRE(Secret({"set", "token", "--from-file", folder.File("value")}, "guarded").exit_code == 0);
  setenv("BERTH_TOKEN", absl::StrCat("berth_1_", std::string(64, 'a')).c_str(), 1);
  const Finished get = Secret({"get", "token"}, "guarded");
  const Finished set = Secret({"set", "token", "--from-file", folder.File("value")}, "guarded");
  const Finished list = Secret({"list"}, "guarded");
  unsetenv("BERTH_TOKEN");
  CHECK(get.exit_code == kForbidden);
  CHECK(get.out == "");
  CHECK(set.exit_code == kForbidden);
  CHECK(list.exit_code == kForbidden);
}

TEST_CASE("no copy of a value stays in a file, an output or a process") {
  const testing::TempDir folder;
  Write(folder.File("value"), Canary());
  const std::string core = folder.File("core");

  // The search finds what is there, in a file and in a process.
  CHECK_FALSE(CopiesInFiles(folder.path()).empty());
  {
    setenv("CANARY", Canary().c_str(), 1);
    const Program sleeper({"sleep", "1000"});
    unsetenv("CANARY");
    DumpCore(sleeper.pid(), core);
    CHECK(HasCopy(core));
  }

  const std::string berth = Shared().Binary("berth");
  const std::vector<std::string> set = {berth,   "secret", "set",         "canary",
                                        "--app", "mine",   "--from-file", folder.File("value")};
  // Nor does it overlook guarded memory.
  RunDumpingCore(set, kWhileSealing, core);
  CHECK(HasCopy(core));
  RunDumpingCore(set, kAtExit, core);
  CHECK_FALSE(HasCopy(core));
  RunDumpingCore({berth, "secret", "get", "canary", "--app", "mine"}, kAtExit, core);
  CHECK_FALSE(HasCopy(core));

  const Finished got = Secret({"get", "canary"}, "mine");
  CHECK(got.out == Canary());
  CHECK(got.err == "");
  const Finished list = Secret({"versions", "canary", "-o", "json"}, "mine");
  for (const std::string& piece : kCanaryPieces) {
    CHECK_THAT(list.out, !Contains(piece));
    CHECK_THAT(list.err, !Contains(piece));
  }

  // An app that is given the value: it is in its process, and not in what brought it there.
  Shared().BuildHello();
  HelloManifest manifest = {.app = "mine", .replicas = 1};
  manifest.more = "secrets: {names: [canary]}\n";
  Shared().BerthJson({"deploy", Shared().WriteManifest("mine", manifest.ToYaml())});
  const std::vector<Instance> instances = Shared().Instances("mine");
  REQUIRE(instances.size() == 1);
  CHECK(Get(instances[0].Url("/secret-length?name=CANARY")).body ==
        absl::StrCat(Canary().size(), "\n"));
  const std::string container =
      MustRun({"podman", "container", "inspect", "berth-" + instances[0].id});
  for (const std::string& piece : kCanaryPieces) CHECK_THAT(container, !Contains(piece));
  pid_t workload = 0;
  REQUIRE(absl::SimpleAtoi(
      absl::StripAsciiWhitespace(MustRun({"podman", "container", "inspect", "--format",
                                          "{{.State.Pid}}", "berth-" + instances[0].id})),
      &workload));
  DumpCore(workload, core);
  CHECK(HasCopy(core));

  // Settings, databases with their write-ahead logs, caches, and what the daemons printed.
  const std::string platform = Shared().folder();
  CHECK(std::filesystem::exists(platform + "/server/secrets.db-wal"));
  CHECK_FALSE(FilesWith(platform, "mine/production/canary").empty());
  CHECK(CopiesInFiles(platform) == std::vector<std::string>());
  for (const char* daemon : {"server", "agent", "edge"}) {
    INFO(daemon);
    DumpCore(Shared().PidOf(daemon), core);
    CHECK_FALSE(HasCopy(core));
  }
}

}  // namespace
}  // namespace berth::integration
