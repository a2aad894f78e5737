#include "common/member/member_settings.h"

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "common/testing/printers.h"

namespace berth {
namespace {

constexpr char kNeeded[] = "server: auth.example.com:7443\nstate: /state\n";

TEST_CASE("a member needs to know auth and where to keep things", "[member]") {
  MemberSettings settings;
  SECTION("and nothing else") {
    SettingsReader reader(kNeeded, "agent.yaml");
    ReadMemberSettings(&reader, &settings);
    CHECK(reader.Finish() == absl::OkStatus());
    CHECK(settings.join_token_file == "/state/join-token");
    CHECK(settings.services.empty());
  }
  SECTION("and is told what is missing") {
    SettingsReader reader("server: auth.example.com:7443\n", "agent.yaml");
    ReadMemberSettings(&reader, &settings);
    CHECK_THAT(std::string(reader.Finish().message()), Catch::Contains("state"));
  }
}

TEST_CASE("a member may be told where services are", "[member]") {
  MemberSettings settings;
  SECTION("by their names") {
    SettingsReader reader(
        absl::StrCat(kNeeded, "services: {scheduler: \"[fd00::1]:7445\", edge-router: b:7446}\n"),
        "agent.yaml");
    ReadMemberSettings(&reader, &settings);
    CHECK(reader.Finish() == absl::OkStatus());
    CHECK(settings.services ==
          rpc::ServiceAddresses{{"edge-router", "b:7446"}, {"scheduler", "[fd00::1]:7445"}});
  }
  SECTION("not by others") {
    SettingsReader reader(absl::StrCat(kNeeded, "services: {sheduler: a:7445}\n"), "agent.yaml");
    ReadMemberSettings(&reader, &settings);
    CHECK_THAT(std::string(reader.Finish().message()), Catch::Contains("scheduler"));
  }
  SECTION("with their ports") {
    SettingsReader reader(absl::StrCat(kNeeded, "services: {scheduler: a}\n"), "agent.yaml");
    ReadMemberSettings(&reader, &settings);
    CHECK_THAT(std::string(reader.Finish().message()), Catch::Contains("agent.yaml:3"));
  }
}

}  // namespace
}  // namespace berth
