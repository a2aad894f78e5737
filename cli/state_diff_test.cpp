#include "cli/state_diff.h"

#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/model_environment.h"

namespace berth::cli {
namespace {

// WHAT: BEFORE > AFTER, each.
std::string TextOf(const std::vector<Difference>& differences) {
  return absl::StrJoin(differences, "\n", [](std::string* out, const Difference& each) {
    absl::StrAppend(out, each.what, ": ", each.before, " > ", each.after);
  });
}

TEST_CASE("what differs between two states is named with both", "[cli][state]") {
  struct Case {
    const char* what;
    std::function<void(EnvironmentState*)> change;
    std::string differences;
  };
  const std::vector<Case> cases = {
      {"nothing", [](EnvironmentState*) {}, ""},
      {"a rollout that ended is no change of what should run",
       [](EnvironmentState* state) {
         state->environment->set_rollout(config::v1::ROLLOUT_STATE_RUNNING);
       },
       ""},
      {"another image",
       [](EnvironmentState* state) {
         *state->environment->mutable_desired() = Release(4);
         state->environment->mutable_desired()->set_image("x@sha256:b");
       },
       absl::StrCat("release: 3 > 4\nimage: localhost/hello@sha256:", std::string(64, 'a'),
                    " > x@sha256:b")},
      {"a change of scale",
       [](EnvironmentState* state) { *state->environment->mutable_desired() = Release(4, 5); },
       "release: 3 > 4\nweb.replicas: 2 > 5"},
      {"a variable",
       [](EnvironmentState* state) {
         auto& env = *(*state->environment->mutable_desired()
                            ->mutable_manifest()
                            ->mutable_processes())["web"]
                          .mutable_env();
         env["COLOUR"] = "blue";
         env["SIZE"] = "big";
       },
       "web.env.COLOUR: red > blue\nweb.env.SIZE:  > big"},
      {"a list, as a whole",
       [](EnvironmentState* state) {
         (*state->environment->mutable_desired()->mutable_manifest()->mutable_processes())["web"]
             .add_command("/hello");
       },
       "web.command:  > [\"/hello\"]"},
      {"secrets: one activated, one new",
       [](EnvironmentState* state) { state->secrets = {Secret("api-key", 2), Secret("other", 1)}; },
       "secret api-key: version 1 > version 2\nsecret other:  > version 1"},
      {"a route that went", [](EnvironmentState* state) { state->routes.clear(); },
       "route extra: tcp/8090 to web.http, standing > "},
      {"a route that leads elsewhere",
       [](EnvironmentState* state) { state->routes = {StandingRoute("extra", 8091)}; },
       "route extra: tcp/8090 to web.http, standing > tcp/8091 to web.http, standing"},
      {"all of it, where the environment went",
       [](EnvironmentState* state) {
         state->environment.reset();
         state->routes.clear();
       },
       absl::StrCat("release: 3 > \nimage: localhost/hello@sha256:", std::string(64, 'a'),
                    " > \nweb.env.COLOUR: red > \nweb.replicas: 2 > \n"
                    "route extra: tcp/8090 to web.http, standing > ")},
  };
  for (const Case& each : cases) {
    INFO(each.what);
    EnvironmentState after = Hello();
    each.change(&after);
    CHECK(TextOf(DiffStates(Hello(), after)) == each.differences);
  }
}

}  // namespace
}  // namespace berth::cli
