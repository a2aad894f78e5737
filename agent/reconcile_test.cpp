#include "agent/reconcile.h"

#include <catch2/catch.hpp>

namespace berth::agent {
namespace {

using scheduler::v1::Assignment;

Assignment Desired(const std::string& instance, uint32_t attempt = 1,
                   scheduler::v1::Intent intent = scheduler::v1::INTENT_RUN) {
  Assignment assignment;
  assignment.set_instance(instance);
  assignment.set_attempt(attempt);
  assignment.set_intent(intent);
  return assignment;
}

Observed Seen(InstancePhase phase, int64_t attempt = 1) {
  Observed observed;
  observed.attempt = attempt;
  observed.phase = phase;
  observed.handle.value = "handle";
  return observed;
}

std::string Describe(const std::vector<Action>& actions) {
  std::string text;
  for (const Action& action : actions) {
    if (const auto* start = std::get_if<StartInstance>(&action)) {
      text += "start " + start->assignment.instance() + ";";
    } else if (const auto* stop = std::get_if<StopInstance>(&action)) {
      text += "stop " + stop->instance + ";";
    } else {
      text += "destroy " + std::get<DestroyInstance>(action).instance + ";";
    }
  }
  return text;
}

TEST_CASE("what differs between desired and observed becomes actions", "[agent][reconcile]") {
  using Phase = InstancePhase;
  const Assignment run = Desired("a");
  const Assignment again = Desired("a", 2);
  const Assignment stop = Desired("a", 1, scheduler::v1::INTENT_STOP);
  Observed failed = Seen(Phase::kCreated);
  failed.start_failed = true;
  Observed busy = Seen(Phase::kRunning);
  busy.busy = true;
  Observed waiting = Seen(Phase::kCreated);
  waiting.handle.value.clear();
  struct Case {
    const char* name;
    std::map<std::string, Assignment> desired;
    std::map<std::string, Observed> observed;
    const char* actions;
  };
  const Case cases[] = {
      {"new", {{"a", run}}, {}, "start a;"},
      {"adopted", {{"a", run}}, {{"a", Seen(Phase::kRunning)}}, ""},
      {"ended by itself", {{"a", run}}, {{"a", Seen(Phase::kExited)}}, ""},
      {"left half-made", {{"a", run}}, {{"a", Seen(Phase::kCreated)}}, "start a;"},
      {"could not be started", {{"a", run}}, {{"a", failed}}, ""},
      {"a new attempt", {{"a", again}}, {{"a", Seen(Phase::kExited)}}, "start a;"},
      {"to be stopped", {{"a", stop}}, {{"a", Seen(Phase::kRunning)}}, "stop a;"},
      {"to be stopped and waiting for its image", {{"a", stop}}, {{"a", waiting}}, ""},
      {"stopped", {{"a", stop}}, {{"a", Seen(Phase::kExited)}}, ""},
      {"to be stopped and never there", {{"a", stop}}, {}, ""},
      {"not desired any more", {}, {{"a", Seen(Phase::kRunning)}}, "destroy a;"},
      {"busy", {{"a", stop}}, {{"a", busy}}, ""},
      {"busy and not desired any more", {}, {{"a", busy}}, ""},
  };
  for (const Case& one : cases) {
    CAPTURE(one.name);
    CHECK(Describe(Reconcile(one.desired, one.observed)) == one.actions);
  }
}

}  // namespace
}  // namespace berth::agent
