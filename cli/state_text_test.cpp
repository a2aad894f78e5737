#include "cli/state_text.h"

#include <catch2/catch.hpp>
#include <string>

#include "cli/model_environment.h"

namespace berth::cli {
namespace {

PastMoment ThatMoment() {
  PastMoment moment;
  moment.time = absl::FromUnixSeconds(1'777'777'777);
  return moment;
}

TEST_CASE("a moment is said by its time, and by its record where one was named", "[cli][state]") {
  CHECK(MomentText(std::nullopt) == "now");
  PastMoment moment = ThatMoment();
  CHECK(MomentText(moment) == "2026-05-03T03:09:37Z");
  moment.record.emplace().set_stream("config");
  moment.record->set_position(42);
  CHECK(MomentText(moment) == "2026-05-03T03:09:37Z (config/42)");
}

TEST_CASE("an environment is shown with its image, counts, secrets and routes", "[cli][state]") {
  EnvironmentState state = Hello();
  state.at = ThatMoment();
  state.positions = {{"config", 42}, {"secrets", 7}};
  const std::string digest(64, 'a');
  CHECK(EnvironmentText(state) ==
        "home/hello/production at 2026-05-03T03:09:37Z\n"
        "  release   3, deploy by user/ada\n"
        "  image     localhost/hello@sha256:" +
            digest +
            "\n"
            "  replicas  web=2\n"
            "  rollout   live\n"
            "  as of     config/42 secrets/7\n"
            "\n"
            "SECRET   ACTIVE  NEWEST  BY\n"
            "api-key  1       1       user/ada\n"
            "\n"
            "ROUTE  FROM      LISTENS AND LEADS TO\n"
            "extra  user/ada  tcp/8090 to web.http\n");
}

TEST_CASE("how the rollout stood is said in words", "[cli][state]") {
  config::v1::Environment environment = *Hello().environment;
  CHECK(RolloutWords(environment) == "live");
  environment.set_rollout(config::v1::ROLLOUT_STATE_RUNNING);
  CHECK(RolloutWords(environment) == "being rolled out");
  environment.clear_desired();
  CHECK(RolloutWords(environment) == "being taken away");
  environment.set_rollout(config::v1::ROLLOUT_STATE_FAILED);
  environment.set_rollout_reason("web failed");
  CHECK(RolloutWords(environment) == "back after a failure: web failed");
}

TEST_CASE("nothing of an environment acts on the terminal", "[cli][state]") {
  EnvironmentState state = Hello();
  state.environment->mutable_desired()->set_origin("bad\x1b[31m");
  state.environment->set_rollout(config::v1::ROLLOUT_STATE_FAILED);
  state.environment->set_rollout_reason("bad\x1b[31m");
  state.routes.front().set_refused("bad\x1b[31m");
  CHECK(EnvironmentText(state).find('\x1b') == std::string::npos);
}

TEST_CASE("programs get what the services said", "[cli][state]") {
  EnvironmentState state = Hello();
  state.at = ThatMoment();
  state.positions = {{"config", 42}};
  const Json json = EnvironmentJson(state);
  CHECK(json["time"] == "2026-05-03T03:09:37+00:00");
  CHECK(json["positions"]["config"] == 42);
  CHECK(json["environment"]["desired"]["number"] == "3");
  CHECK(json["secrets"][0]["activeVersion"] == "1");
  CHECK(json["routes"][0]["standing"] == true);
}

}  // namespace
}  // namespace berth::cli
