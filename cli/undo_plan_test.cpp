#include "cli/undo_plan.h"

#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "cli/model_environment.h"
#include "common/testing/printers.h"

namespace berth::cli {
namespace {

using Texts = std::vector<std::string>;

constexpr char kWhere[] = " --org home --app hello --env production";

// The plan's command lines, without where they are.
Texts CommandsOf(const UndoPlan& plan) {
  Texts commands;
  for (const UndoStep& step : plan.steps) {
    const std::string text = CommandText(step);
    CHECK(text.find(kWhere) != std::string::npos);
    commands.push_back(absl::StrReplaceAll(text, {{kWhere, ""}}));
  }
  return commands;
}

void Promote(EnvironmentState* state, uint64_t release) {
  *state->environment->mutable_desired() = Release(release);
  state->environment->set_promotion(state->environment->promotion() + 1);
}

TEST_CASE("what came since is planned to be undone, in an order that works", "[cli][undo]") {
  struct Case {
    const char* since;
    std::function<void(EnvironmentState*)> happened;
    Texts commands;
    Texts not_restorable = {};
    Texts remarks = {};
  };
  const std::vector<Case> cases = {
      {"nothing", [](EnvironmentState*) {}, {}},
      {"a deploy", [](EnvironmentState* now) { Promote(now, 4); }, {"berth rollback 3"}},
      {"a failed deploy, which went back by itself",
       [](EnvironmentState* now) {
         now->environment->set_rollout(config::v1::ROLLOUT_STATE_FAILED);
         now->environment->set_newest_release(4);
       },
       {}},
      {"the environment was deleted, with its standing routes",
       [](EnvironmentState* now) {
         now->environment.reset();
         now->routes.clear();
       },
       {"berth rollback 3", "berth route create extra --listen tcp/8090 --to web.http"}},
      {"the environment is being deleted",
       [](EnvironmentState* now) {
         now->environment->clear_desired();
         now->environment->set_deleted(true);
         now->environment->set_rollout(config::v1::ROLLOUT_STATE_RUNNING);
       },
       {"berth rollback 3"}},
      {"a secret got another value",
       [](EnvironmentState* now) { now->secrets = {Secret("api-key", 2)}; },
       {"berth secret activate api-key 1"}},
      {"a secret got another value, and the one of then was deleted",
       [](EnvironmentState* now) { now->secrets = {Secret("api-key", 4)}; },
       {},
       {"secret api-key: version 1 was deleted since; version 4 stays active"}},
      {"a secret was deleted",
       [](EnvironmentState* now) { now->secrets.clear(); },
       {},
       {"secret api-key: version 1 was deleted since; the secret is not set"}},
      {"a secret was made",
       [](EnvironmentState* now) { now->secrets.push_back(Secret("token", 1)); },
       {},
       {},
       {"secret token was made since and stays; no value is deleted"}},
      {"a standing route was made",
       [](EnvironmentState* now) { now->routes.push_back(StandingRoute("more", 8091)); },
       {"berth route delete more"}},
      {"a standing route was deleted",
       [](EnvironmentState* now) { now->routes.clear(); },
       {"berth route create extra --listen tcp/8090 --to web.http"}},
      {"a standing route was replaced by another of its name",
       [](EnvironmentState* now) { now->routes = {StandingRoute("extra", 8091)}; },
       {"berth route delete extra", "berth route create extra --listen tcp/8090 --to web.http"}},
      {"the standing route went, and a manifest declares one of its name",
       [](EnvironmentState* now) {
         now->routes.front().set_standing(false);
         Promote(now, 4);
       },
       {"berth rollback 3", "berth route create extra --listen tcp/8090 --to web.http"}},
      {"a manifest's routes came and are its release's business",
       [](EnvironmentState* now) {
         now->routes.push_back(StandingRoute("public", 443));
         now->routes.back().set_standing(false);
       },
       {}},
      {"all at once",
       [](EnvironmentState* now) {
         Promote(now, 4);
         now->secrets = {Secret("api-key", 2)};
         now->routes = {StandingRoute("more", 8091)};
       },
       {"berth secret activate api-key 1", "berth route delete more", "berth rollback 3",
        "berth route create extra --listen tcp/8090 --to web.http"}},
  };
  for (const Case& each : cases) {
    INFO(each.since);
    EnvironmentState now = Hello();
    each.happened(&now);
    // Version 1 of api-key is kept unless version 4 is there.
    KeptVersions kept;
    for (const secrets::v1::Secret& secret : now.secrets) {
      kept[secret.name()] = {secret.active_version()};
      if (secret.active_version() < 4) kept[secret.name()].insert(1);
    }
    const absl::StatusOr<UndoPlan> plan = PlanUndo(Hello(), now, kept);
    REQUIRE(plan.ok());
    CHECK(CommandsOf(*plan) == each.commands);
    CHECK(plan->not_restorable == each.not_restorable);
    CHECK(plan->remarks == each.remarks);
    CHECK_FALSE(plan->promotion_under_way.has_value());
  }
}

TEST_CASE("a release that is being rolled out already is waited for", "[cli][undo]") {
  EnvironmentState now = Hello();
  now.environment->set_rollout(config::v1::ROLLOUT_STATE_RUNNING);
  const absl::StatusOr<UndoPlan> plan = PlanUndo(Hello(), now, {});
  REQUIRE(plan.ok());
  CHECK(plan->steps.empty());
  CHECK(plan->promotion_under_way == 5);
}

TEST_CASE("a release that was being rolled out then is said to have been", "[cli][undo]") {
  EnvironmentState then = Hello();
  then.environment->set_rollout(config::v1::ROLLOUT_STATE_RUNNING);
  const absl::StatusOr<UndoPlan> plan = PlanUndo(then, Hello(), {});
  REQUIRE(plan.ok());
  CHECK(plan->remarks == Texts{"release 3 was still being rolled out then"});
}

TEST_CASE("where nothing was deployed there is nothing to go back to", "[cli][undo]") {
  EnvironmentState then = Hello();
  SECTION("no environment") { then.environment.reset(); }
  SECTION("one that was being deleted") { then.environment->clear_desired(); }
  CHECK(absl::IsFailedPrecondition(PlanUndo(then, Hello(), {}).status()));
}

TEST_CASE("a route's command line says all that the route does", "[cli][undo]") {
  EnvironmentState then = Hello();
  config::v1::Route& route = *then.routes.front().mutable_route();
  route.mutable_tls()->set_port(443);
  route.mutable_tls()->set_hostname("hello.example.com");
  route.set_proxy_protocol(config::v1::PROXY_PROTOCOL_V2);
  EnvironmentState now = Hello();
  now.routes.clear();
  CHECK(CommandsOf(*PlanUndo(then, now, {})) ==
        Texts{"berth route create extra --listen tls/443 --to web.http --host hello.example.com "
              "--proxy-protocol v2"});
}

}  // namespace
}  // namespace berth::cli
