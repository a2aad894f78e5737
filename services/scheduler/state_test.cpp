#include "services/scheduler/state.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/testing/scenario.h"
#include "common/time/timestamp.h"
#include "services/scheduler/model_fleet.h"

namespace berth::scheduler {
namespace {

using berth::testing::Scenario;

constexpr char kInstance[] = "web-1";

DecisionContext At(absl::Time now) {
  DecisionContext context;
  context.now = now;
  context.position = 7;
  return context;
}

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
const DecisionContext kContext = At(kNow);

v1::Event HostImported(const std::string& name) {
  v1::Event event;
  auth::v1::Machine* machine = event.mutable_host_imported()->mutable_machine();
  machine->set_name(name);
  machine->set_org("acme");
  machine->set_status(auth::v1::MACHINE_STATUS_ACTIVE);
  return event;
}

v1::Event HostPresenceChanged(const std::string& host, v1::HostPresence presence) {
  v1::Event event;
  event.mutable_host_presence_changed()->set_host(host);
  event.mutable_host_presence_changed()->set_presence(presence);
  return event;
}

v1::Event EnvironmentImported(uint64_t promotion) {
  v1::Event event;
  config::v1::Environment* environment =
      event.mutable_environment_imported()->mutable_environment();
  *environment->mutable_name() = Fleet::Name();
  environment->set_promotion(promotion);
  *environment->mutable_desired() = Fleet::Release("image", 1);
  return event;
}

v1::Event InstancePlaced(const std::string& host, const std::string& instance) {
  v1::Event event;
  v1::InstancePlaced* placed = event.mutable_instance_placed();
  placed->set_host(host);
  placed->set_address_number(State::kFirstAddress);
  v1::Assignment* assignment = placed->mutable_assignment();
  assignment->set_instance(instance);
  *assignment->mutable_environment() = Fleet::Name();
  assignment->set_process_type("web");
  assignment->set_attempt(1);
  assignment->set_intent(v1::INTENT_RUN);
  *assignment->mutable_process() = Fleet::Process();
  return event;
}

template <typename InstanceEvent>
void NameInstance(InstanceEvent* event) {
  event->set_host("alpha");
  *event->mutable_environment() = Fleet::Name();
  event->set_instance(kInstance);
}

v1::Event InstanceStopping() {
  v1::Event event;
  NameInstance(event.mutable_instance_stopping());
  return event;
}

v1::Event InstanceRemoved() {
  v1::Event event;
  NameInstance(event.mutable_instance_removed());
  return event;
}

v1::Event InstanceObserved(const v1::InstanceReport& report) {
  v1::Event event;
  v1::InstanceObserved* observed = event.mutable_instance_observed();
  observed->set_host("alpha");
  *observed->mutable_environment() = Fleet::Name();
  *observed->mutable_observed() = report;
  *observed->mutable_time() = ToTimestamp(kNow);
  observed->set_position(kContext.position);
  return event;
}

v1::Event SourceAdvanced(const std::string& source, uint64_t position) {
  v1::Event event;
  event.mutable_source_advanced()->set_source(source);
  event.mutable_source_advanced()->mutable_revision()->set_position(position);
  return event;
}

v1::InstanceReport Seen(v1::Phase phase, uint32_t attempt = 1) {
  v1::InstanceReport report;
  report.set_instance(kInstance);
  report.set_attempt(attempt);
  report.set_phase(phase);
  return report;
}

v1::ReportRequest ReportOf(const std::vector<v1::InstanceReport>& instances) {
  v1::ReportRequest request;
  *request.mutable_instances() = {instances.begin(), instances.end()};
  return request;
}

// An instance on alpha, which is up.
Scenario<State> Placed() {
  Scenario<State> scenario(ReadTopic);
  scenario.Given({HostImported("alpha"), HostPresenceChanged("alpha", v1::HOST_PRESENCE_UP),
                  EnvironmentImported(1), InstancePlaced("alpha", kInstance)});
  return scenario;
}

TEST_CASE("a report of a host that is not known yet is to be tried again", "[scheduler][state]") {
  Scenario<State> scenario(ReadTopic);
  scenario.When(v1::ReportRequest(), "alpha", kContext)
      .ThenRefused(absl::StatusCode::kUnavailable, "alpha");
}

TEST_CASE("what a host reports becomes events only where it is news", "[scheduler][state]") {
  Scenario<State> scenario = Placed();
  const v1::ReportRequest request = ReportOf({Seen(v1::PHASE_READY)});
  scenario.When(request, "alpha", kContext).Then({InstanceObserved(Seen(v1::PHASE_READY))});
  scenario.When(request, "alpha", At(kNow + absl::Seconds(5))).ThenNothing();
  scenario.CheckReplay();
}

TEST_CASE("a report brings a host back", "[scheduler][state]") {
  Scenario<State> scenario = Placed();
  const v1::HostPresence before = GENERATE(v1::HOST_PRESENCE_STALE, v1::HOST_PRESENCE_LOST);
  scenario.Given({HostPresenceChanged("alpha", before)});
  scenario.When(v1::ReportRequest(), "alpha", kContext)
      .Then({HostPresenceChanged("alpha", v1::HOST_PRESENCE_UP)});
}

TEST_CASE("a report counts only for the instance, attempt and host it is about",
          "[scheduler][state]") {
  Scenario<State> scenario = Placed();
  scenario.Given({HostImported("beta"), HostPresenceChanged("beta", v1::HOST_PRESENCE_UP)});
  SECTION("an earlier attempt") {
    v1::Event started;
    NameInstance(started.mutable_attempt_started());
    started.mutable_attempt_started()->set_attempt(2);
    scenario.Given({started});
    scenario.When(ReportOf({Seen(v1::PHASE_FAILED, 1)}), "alpha", kContext).ThenNothing();
  }
  SECTION("another host's instance") {
    scenario.When(ReportOf({Seen(v1::PHASE_FAILED)}), "beta", kContext).ThenNothing();
  }
  SECTION("an instance that is gone") {
    scenario.Given({InstanceStopping(), InstanceRemoved()});
    scenario.When(ReportOf({Seen(v1::PHASE_STOPPED)}), "alpha", kContext).ThenNothing();
  }
}

TEST_CASE("an instance that was told to stop is removed once it has", "[scheduler][state]") {
  Scenario<State> scenario = Placed();
  scenario.Given({InstanceStopping()});
  SECTION("as asked, whatever the attempt, or by failing") {
    const v1::InstanceReport report = GENERATE(Seen(v1::PHASE_STOPPED, 0), Seen(v1::PHASE_FAILED));
    scenario.When(ReportOf({report}), "alpha", kContext).Then({InstanceRemoved()});
    CHECK(scenario.state().hosts().at("alpha").promised.memory_bytes() == 0);
  }
  SECTION("also where the report says so twice, or says something else afterwards") {
    scenario
        .When(ReportOf({Seen(v1::PHASE_STOPPED), Seen(v1::PHASE_STOPPED), Seen(v1::PHASE_READY)}),
              "alpha", kContext)
        .Then({InstanceRemoved()});
  }
  SECTION("and not before") {
    scenario.When(ReportOf({Seen(v1::PHASE_READY)}), "alpha", kContext)
        .Then({InstanceObserved(Seen(v1::PHASE_READY))});
  }
}

TEST_CASE("a late word about an attempt that failed does not remove the one that is stopping",
          "[scheduler][state]") {
  Scenario<State> scenario = Placed();
  v1::Event started;
  NameInstance(started.mutable_attempt_started());
  started.mutable_attempt_started()->set_attempt(2);
  scenario.Given({started, InstanceStopping()});
  scenario.When(ReportOf({Seen(v1::PHASE_FAILED, 1)}), "alpha", kContext).ThenNothing();
  CHECK(scenario.state().hosts().at("alpha").promised.memory_bytes() > 0);
}

TEST_CASE("what a report may fill the log with is bounded, and stays text", "[scheduler][state]") {
  Scenario<State> scenario = Placed();
  v1::InstanceReport report = Seen(v1::PHASE_FAILED);
  for (int i = 0; i < 500; ++i) report.mutable_reason()->append("größer ");
  for (int i = 0; i < 30; ++i) {
    report.add_log_tail(absl::StrCat(i, std::string(500, 'x')));
  }
  std::string line;
  while (line.size() < 999) line += "日本";
  report.set_log_tail(29, line);
  report.set_log_tail(28, "x" + line);
  report.set_log_tail(27, "xx" + line);
  const auto outcome = scenario.When(ReportOf({report}), "alpha", kContext);
  outcome.ThenDone();
  REQUIRE(outcome.events().size() == 1);
  const v1::InstanceReport& stored = outcome.events()[0].instance_observed().observed();
  CHECK(stored.reason().size() <= 1000);
  REQUIRE(stored.log_tail_size() == 20);
  CHECK(absl::StartsWith(stored.log_tail(0), "10"));
  for (const std::string& kept : stored.log_tail()) CHECK(kept.size() <= 400);
  // What is not UTF-8 could not be read back.
  scenario.CheckReplay();
}

Import ImportOf(const std::string& source, uint64_t position, const std::string& key,
                std::optional<std::string> value) {
  Import import;
  import.source = source;
  import.revision.set_position(position);
  import.changes[key] = std::move(value);
  return import;
}

TEST_CASE("an import makes events of what is new, and moves the cursor with them",
          "[scheduler][state]") {
  Scenario<State> scenario(ReadTopic);
  v1::Event imported = EnvironmentImported(1);
  config::v1::Environment* environment =
      imported.mutable_environment_imported()->mutable_environment();
  // Many keys: the same map is hardly ever serialised twice in the same order.
  for (int i = 0; i < 50; ++i) {
    (*environment->mutable_desired()->mutable_replicas())[absl::StrCat("worker-", i)] = 1;
  }
  const std::string key = ToString(Fleet::Name());
  scenario.When(ImportOf(State::kConfigSource, 5, key, environment->SerializeAsString()))
      .Then({imported, SourceAdvanced(State::kConfigSource, 5)});
  CHECK(scenario.state().Cursor(State::kConfigSource)->position() == 5);
  SECTION("what is so already makes none") {
    config::v1::Environment again;
    REQUIRE(again.ParseFromString(environment->SerializeAsString()));
    for (int repeat = 0; repeat < 10; ++repeat) {
      scenario.When(ImportOf(State::kConfigSource, 6, key, again.SerializeAsString()))
          .ThenNothing();
    }
  }
  SECTION("what cannot be read is left out") {
    scenario.When(ImportOf(State::kConfigSource, 6, key, "\xff")).ThenNothing();
  }
  SECTION("config takes no environment back") {
    scenario.When(ImportOf(State::kConfigSource, 6, key, std::nullopt)).ThenNothing();
  }
}

TEST_CASE("a host comes with auth's word and goes with its instances", "[scheduler][state]") {
  Scenario<State> scenario = Placed();
  const std::string machine = HostImported("alpha").host_imported().machine().SerializeAsString();
  scenario.When(ImportOf(State::kAuthSource, 3, "host/alpha", machine)).ThenNothing();
  v1::Event removed;
  removed.mutable_host_removed()->set_host("alpha");
  scenario.When(ImportOf(State::kAuthSource, 4, "host/alpha", std::nullopt))
      .Then({InstanceRemoved(), removed, SourceAdvanced(State::kAuthSource, 4)});
  CHECK(scenario.state().hosts().empty());
  CHECK(scenario.state().Entries(HostTopic("alpha")).empty());
  scenario.When(ImportOf(State::kAuthSource, 5, "host/alpha", std::nullopt)).ThenNothing();
  scenario.CheckReplay();
}

TEST_CASE("what is missing from auth's snapshot has left, and what is in it stays",
          "[scheduler][state]") {
  Scenario<State> scenario = Placed();
  scenario.Given({HostImported("beta")});
  Import snapshot = ImportOf(State::kAuthSource, 9, "host/alpha",
                             HostImported("alpha").host_imported().machine().SerializeAsString());
  snapshot.snapshot = true;
  v1::Event removed;
  removed.mutable_host_removed()->set_host("beta");
  scenario.When(snapshot).Then({removed, SourceAdvanced(State::kAuthSource, 9)});
  CHECK(scenario.state().hosts().contains("alpha"));
  scenario.When(snapshot).ThenNothing();
}

TEST_CASE("a host's presence changes once", "[scheduler][state]") {
  const Scenario<State> scenario = Placed();
  CHECK(scenario.state().SetPresence("alpha", v1::HOST_PRESENCE_LOST)->events.size() == 1);
  CHECK(scenario.state().SetPresence("alpha", v1::HOST_PRESENCE_UP)->events.empty());
  CHECK(scenario.state().SetPresence("nowhere", v1::HOST_PRESENCE_LOST)->events.empty());
}

TEST_CASE("a rollout is marked as reported once, and only while it is the newest",
          "[scheduler][state]") {
  Scenario<State> scenario = Placed();
  v1::Event started;
  *started.mutable_rollout_started()->mutable_environment() = Fleet::Name();
  started.mutable_rollout_started()->set_promotion(2);
  scenario.Given({started});
  CHECK(scenario.state().MarkReported(Fleet::Name(), 1)->events.empty());
  CHECK(scenario.state().MarkReported(Fleet::Name("other"), 2)->events.empty());
  const auto marked = scenario.state().MarkReported(Fleet::Name(), 2);
  REQUIRE(marked->events.size() == 1);
  scenario.Given(marked->events);
  CHECK(scenario.state().MarkReported(Fleet::Name(), 2)->events.empty());
}

TEST_CASE("an environment's status shows the wanted beside what is", "[scheduler][state]") {
  Scenario<State> scenario = Placed();
  scenario.Given({InstancePlaced("alpha", "web-0"), InstanceObserved(Seen(v1::PHASE_READY))});
  const auto status = scenario.state().StatusOf(Fleet::Name());
  REQUIRE(status.ok());
  REQUIRE(status->instances_size() == 2);
  CHECK(status->instances(0).id() == "web-0");
  CHECK(status->instances(1).observed().phase() == v1::PHASE_READY);
  CHECK(status->instances(1).host() == "alpha");
  CHECK(status->replicas().at("web") == 1);
  CHECK(scenario.state().StatusOf(Fleet::Name("other")).status().code() ==
        absl::StatusCode::kNotFound);
}

v1::LabelHostRequest LabelAlpha(const std::map<std::string, std::string>& labels,
                                const std::vector<std::string>& removed = {}) {
  v1::LabelHostRequest request;
  request.set_org("acme");
  request.set_host("alpha");
  request.mutable_labels()->insert(labels.begin(), labels.end());
  *request.mutable_removed() = {removed.begin(), removed.end()};
  return request;
}

TEST_CASE("a host keeps its labels until they are changed", "[scheduler][state]") {
  Scenario<State> scenario = Placed();
  const auto set = scenario.state().Decide(LabelAlpha({{"zone", "eu-1"}, {"disk", "ssd"}}));
  REQUIRE(set->events.size() == 1);
  scenario.Given(set->events);
  CHECK(scenario.state().Decide(LabelAlpha({{"zone", "eu-1"}}, {"other"}))->events.empty());
  const auto changed = scenario.state().Decide(LabelAlpha({{"zone", "eu-2"}}, {"disk"}));
  scenario.Given(changed->events);
  scenario.Given({HostImported("alpha")});
  const v1::Host host = scenario.state().HostsOf("acme").hosts(0);
  CHECK(host.labels_size() == 1);
  CHECK(host.labels().at("zone") == "eu-2");
  CHECK(changed->response.labels_size() == 1);
  scenario.CheckReplay();
}

TEST_CASE("what is no label, or one too many, changes nothing", "[scheduler][state]") {
  const Scenario<State> scenario = Placed();
  const auto refused = [&](const v1::LabelHostRequest& request) {
    return scenario.state().Decide(request).status().code();
  };
  CHECK(refused(LabelAlpha({{"Zone", "eu-1"}})) == absl::StatusCode::kInvalidArgument);
  CHECK(refused(LabelAlpha({{"zone", ""}})) == absl::StatusCode::kInvalidArgument);
  CHECK(refused(LabelAlpha({{"zone", std::string(State::kLabelValueSizeMax + 1, 'x')}})) ==
        absl::StatusCode::kInvalidArgument);
  std::map<std::string, std::string> many;
  for (size_t i = 0; i <= State::kLabelsPerHostMax; ++i) many[absl::StrCat("label-", i)] = "x";
  CHECK(refused(LabelAlpha(many)) == absl::StatusCode::kFailedPrecondition);
  v1::LabelHostRequest elsewhere = LabelAlpha({{"zone", "eu-1"}});
  elsewhere.set_org("globex");
  CHECK(refused(elsewhere) == absl::StatusCode::kNotFound);
}

TEST_CASE("an org sees its own hosts only", "[scheduler][state]") {
  Scenario<State> scenario = Placed();
  const v1::ListHostsResponse hosts = scenario.state().HostsOf("acme");
  REQUIRE(hosts.hosts_size() == 1);
  CHECK(hosts.hosts(0).instances() == 1);
  CHECK(hosts.hosts(0).promised().memory_bytes() == 100 * kMiB);
  CHECK(scenario.state().HostsOf("globex").hosts_size() == 0);
}

TEST_CASE("every state of scheduler that was ever saved is taken up", "[scheduler][stored]") {
  testing::CheckStoredStates<State>("scheduler");
}

}  // namespace
}  // namespace berth::scheduler
