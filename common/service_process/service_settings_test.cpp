#include "common/service_process/service_settings.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth {
namespace {

constexpr char kNeeded[] = "server: auth.example.com:7443\nca_file: /ca.pem\nstate: /state\n";

absl::StatusOr<ServiceSettings> Load(const std::string& more, const ReadOwnSettings& own = {}) {
  const testing::TempDir folder;
  const std::string path = folder.File("config.yaml");
  std::ofstream(path) << kNeeded << more;
  return LoadServiceSettings(path, "127.0.0.1:7484", own);
}

TEST_CASE("a service announces the address it listens on", "[service_process]") {
  SECTION("if there is one that others can reach") {
    const auto settings = Load("listen: 10.0.0.2:7444\n");
    REQUIRE(settings.status() == absl::OkStatus());
    CHECK(settings->serving.address == "10.0.0.2:7444");
  }
  SECTION("else one that is said") {
    const std::string listen = GENERATE("\":7444\"", "0.0.0.0:7444", "\"[::]:7444\"", "a:0");
    CAPTURE(listen);
    CHECK_THAT(std::string(Load(absl::StrCat("listen: ", listen, "\n")).status().message()),
               Catch::Contains("address"));
    const auto settings =
        Load(absl::StrCat("listen: ", listen, "\naddress: config.example.com:7444\n"));
    REQUIRE(settings.status() == absl::OkStatus());
    CHECK(settings->serving.address == "config.example.com:7444");
  }
}

TEST_CASE("a service serves its metrics where it does by default, or is told to",
          "[service_process]") {
  CHECK(Load("")->serving.http == "127.0.0.1:7484");
  CHECK(Load("http: \"off\"\n")->serving.http == "off");
}

TEST_CASE("a service has settings of its own, and no other has them", "[service_process]") {
  std::string fleet;
  const auto own = [&fleet](SettingsReader* reader) { reader->Optional("fleet", &fleet); };
  CHECK(Load("fleet: large\n", own).status() == absl::OkStatus());
  CHECK(fleet == "large");
  CHECK_THAT(std::string(Load("fleet: large\n").status().message()), Catch::Contains("fleet"));
}

TEST_CASE("a service keeps its log in SQLite unless there is a database", "[service_process]") {
  SECTION("nothing is said") {
    const auto settings = Load("");
    REQUIRE(settings.status() == absl::OkStatus());
    CHECK(settings->serving.log.postgres.empty());
  }
  SECTION("the connection is said") {
    const auto settings = Load("log: {postgres: \"host=db dbname=berth\"}\n");
    REQUIRE(settings.status() == absl::OkStatus());
    CHECK(settings->serving.log.postgres == "host=db dbname=berth");
  }
  SECTION("the connection is in a file of its own") {
    const testing::TempDir folder;
    std::ofstream(folder.File("postgres")) << "postgresql://berth:secret@db/berth\n";
    const auto settings =
        Load(absl::StrCat("log: {postgres_file: ", folder.File("postgres"), "}\n"));
    REQUIRE(settings.status() == absl::OkStatus());
    CHECK(settings->serving.log.postgres == "postgresql://berth:secret@db/berth");
  }
  SECTION("the file is not there, or both are said") {
    const std::string log =
        GENERATE("{postgres_file: /nowhere}", "{postgres: dbname=berth, postgres_file: /nowhere}");
    CAPTURE(log);
    CHECK_THAT(std::string(Load(absl::StrCat("log: ", log, "\n")).status().message()),
               Catch::Contains("config.yaml:4"));
  }
}

TEST_CASE("a log is kept whole unless the settings say for how long", "[service_process]") {
  CHECK(Load("")->serving.log.retention_days == 0);
  const auto settings = Load("log: {retention_days: 365}\n");
  REQUIRE(settings.status() == absl::OkStatus());
  CHECK(settings->serving.log.retention_days == 365);
  for (const char* days : {"0", "89", "90d", "forever"}) {
    CAPTURE(days);
    CHECK_THAT(
        std::string(Load(absl::StrCat("log: {retention_days: ", days, "}\n")).status().message()),
        Catch::Contains("config.yaml:4"));
  }
}

}  // namespace
}  // namespace berth
