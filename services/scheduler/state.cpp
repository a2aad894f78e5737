#include "services/scheduler/state.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "berth/edge_router/v1/edge_router.pb.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "common/check/check.h"
#include "common/exec/exec_grant.h"
#include "common/ids/names.h"
#include "common/status/status_macros.h"
#include "common/text/utf8.h"
#include "common/time/timestamp.h"

namespace berth::scheduler {
namespace {

using types::v1::EnvironmentName;

constexpr char kRolloutKey[] = "rollout";
constexpr char kInstancePrefix[] = "instance/";
constexpr char kHostTopicPrefix[] = "host/";
// Of auth's watch of machines.
constexpr char kHostPrefix[] = "host/";
constexpr char kEdgePrefix[] = "edge/";
constexpr char kEnvironmentTopicPrefix[] = "environment/";
// What a report may carry; what is beyond is cut, so that no agent can fill the log.
constexpr int kLogTailLinesMax = 20;
constexpr size_t kLogTailLineBytesMax = 400;
constexpr size_t kReasonBytesMax = 1000;

std::string InstanceKey(const std::string& id) { return absl::StrCat(kInstancePrefix, id); }

// Not by their bytes: those of the same map may differ.
bool Same(const google::protobuf::Message& left, const google::protobuf::Message& right) {
  return google::protobuf::util::MessageDifferencer::Equals(left, right);
}

bool Same(const RoutesByName& left, const RoutesByName& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const auto& one, const auto& other) {
                      return one.first == other.first && Same(one.second, other.second);
                    });
}

v1::InstanceReport Bounded(v1::InstanceReport report) {
  report.set_reason(std::string(CutUtf8(report.reason(), kReasonBytesMax)));
  auto* lines = report.mutable_log_tail();
  if (lines->size() > kLogTailLinesMax) {
    lines->DeleteSubrange(0, lines->size() - kLogTailLinesMax);
  }
  for (std::string& line : *lines) line = std::string(CutUtf8(line, kLogTailLineBytesMax));
  return report;
}

}  // namespace

RoutesByName RoutesTo(const Environment& environment) {
  RoutesByName routes = environment.standing_routes;
  const auto& declared = environment.wanted.desired().manifest().routes();
  routes.insert(declared.begin(), declared.end());
  return routes;
}

bool IsRouted(const Environment& environment, const std::string& process_type) {
  const RoutesByName routes = RoutesTo(environment);
  return std::any_of(routes.begin(), routes.end(), [&process_type](const auto& route) {
    return route.second.to().process() == process_type;
  });
}

std::string HostTopic(const std::string& host) { return absl::StrCat(kHostTopicPrefix, host); }

std::string EnvironmentTopic(const EnvironmentName& name) {
  return absl::StrCat(kEnvironmentTopicPrefix, ToString(name));
}

Decided<v1::Event, v1::ReportResponse> State::Decide(const Import& import) const {
  Decision<Event, v1::ReportResponse> decision;
  if (import.source == kConfigSource) {
    ImportEnvironments(import, &decision.events);
  } else if (import.source == kEdgeRouterSource) {
    ImportRouteStates(import, &decision.events);
  } else if (import.source == kSecretsSource) {
    ImportActiveSecrets(import, &decision.events);
  } else if (import.source == kAuthSource) {
    ImportHosts(import, &decision.events);
    ImportEdges(import, &decision.events);
  }
  if (decision.events.empty()) return decision;
  v1::SourceAdvanced* advanced = decision.events.emplace_back().mutable_source_advanced();
  advanced->set_source(import.source);
  *advanced->mutable_revision() = import.revision;
  return decision;
}

void State::ImportEnvironments(const Import& import, std::vector<Event>* events) const {
  for (const auto& [key, value] : import.changes) {
    config::v1::Environment environment;
    // Config never takes an environment back; a release of none stands for an empty one.
    if (!value.has_value() || !environment.ParseFromString(*value)) continue;
    const auto known = environments_.find(ToString(environment.name()));
    if (known != environments_.end() && Same(known->second.wanted, environment)) continue;
    *events->emplace_back().mutable_environment_imported()->mutable_environment() = environment;
  }
}

void State::ImportRouteStates(const Import& import, std::vector<Event>* events) const {
  for (const auto& [key, value] : import.changes) {
    edge_router::v1::EnvironmentRoutes routes;
    if (!value.has_value() || !routes.ParseFromString(*value)) continue;
    const auto known = environments_.find(ToString(routes.environment()));
    const std::map<std::string, std::string> refused(routes.refused().begin(),
                                                     routes.refused().end());
    const RoutesByName standing(routes.standing().begin(), routes.standing().end());
    if (known != environments_.end() && known->second.routes_promotion == routes.promotion() &&
        known->second.routes_refused == refused && Same(known->second.standing_routes, standing)) {
      continue;
    }
    v1::RouteStatesImported* imported = events->emplace_back().mutable_route_states_imported();
    *imported->mutable_environment() = routes.environment();
    imported->set_promotion(routes.promotion());
    *imported->mutable_refused() = routes.refused();
    *imported->mutable_standing() = routes.standing();
  }
}

void State::ImportActiveSecrets(const Import& import, std::vector<Event>* events) const {
  for (const auto& [key, value] : import.changes) {
    secrets::v1::ActiveSecrets active;
    if (!value.has_value() || !active.ParseFromString(*value)) continue;
    const SecretVersions versions(active.versions().begin(), active.versions().end());
    if (ActiveSecrets(ToString(active.environment())) == versions) continue;
    v1::ActiveSecretsImported* imported = events->emplace_back().mutable_active_secrets_imported();
    *imported->mutable_environment() = active.environment();
    *imported->mutable_versions() = active.versions();
  }
  for (const auto& [key, secrets] : active_secrets_) {
    if (!import.SaysGone(key)) continue;
    *events->emplace_back().mutable_active_secrets_imported()->mutable_environment() = secrets.name;
  }
}

void State::ImportHosts(const Import& import, std::vector<Event>* events) const {
  for (const auto& [key, value] : import.changes) {
    absl::string_view name = key;
    auth::v1::Machine machine;
    if (!absl::ConsumePrefix(&name, kHostPrefix) || !value.has_value() ||
        !machine.ParseFromString(*value)) {
      continue;
    }
    const auto known = hosts_.find(std::string(name));
    if (known != hosts_.end() && Same(known->second.machine, machine)) continue;
    *events->emplace_back().mutable_host_imported()->mutable_machine() = machine;
  }
  for (const auto& [name, host] : hosts_) {
    if (!import.SaysGone(absl::StrCat(kHostPrefix, name))) continue;
    // Its instances go with it: it may join anew before anything else is decided.
    for (const std::string& id : host.instances) {
      v1::InstanceRemoved* removed = events->emplace_back().mutable_instance_removed();
      removed->set_host(name);
      *removed->mutable_environment() = environments_.at(environment_of_.at(id)).wanted.name();
      removed->set_instance(id);
    }
    events->emplace_back().mutable_host_removed()->set_host(name);
  }
}

void State::ImportEdges(const Import& import, std::vector<Event>* events) const {
  for (const auto& [key, value] : import.changes) {
    absl::string_view name = key;
    auth::v1::Machine machine;
    if (!absl::ConsumePrefix(&name, kEdgePrefix) || !value.has_value() ||
        !machine.ParseFromString(*value)) {
      continue;
    }
    const auto known = edges_.find(std::string(name));
    if (known != edges_.end() && Same(known->second.machine, machine)) continue;
    v1::EdgeImported* imported = events->emplace_back().mutable_edge_imported();
    imported->set_edge(std::string(name));
    *imported->mutable_machine() = machine;
  }
  for (const auto& [name, edge] : edges_) {
    if (import.SaysGone(absl::StrCat(kEdgePrefix, name))) {
      events->emplace_back().mutable_edge_removed()->set_edge(name);
    }
  }
}

Decided<v1::Event, v1::ReportResponse> State::Decide(const v1::ReportRequest& request,
                                                     const std::string& host,
                                                     const DecisionContext& context) const {
  const auto known = hosts_.find(host);
  if (known == hosts_.end()) {
    return absl::UnavailableError(
        absl::StrCat("host ", host, " joined a moment ago and is not known to the scheduler yet"));
  }
  Decision<Event, v1::ReportResponse> decision;
  if (!Same(known->second.facts, request.facts())) {
    v1::HostFactsChanged* changed = decision.events.emplace_back().mutable_host_facts_changed();
    changed->set_host(host);
    *changed->mutable_facts() = request.facts();
  }
  if (known->second.presence != v1::HOST_PRESENCE_UP) {
    v1::HostPresenceChanged* changed =
        decision.events.emplace_back().mutable_host_presence_changed();
    changed->set_host(host);
    changed->set_presence(v1::HOST_PRESENCE_UP);
  }
  std::set<std::string> reported;
  for (const v1::InstanceReport& unbounded : request.instances()) {
    if (!reported.insert(unbounded.instance()).second) continue;  // Said twice.
    const auto environment = environment_of_.find(unbounded.instance());
    if (environment == environment_of_.end()) continue;  // Gone here, and soon there.
    const Instance& instance =
        environments_.at(environment->second).instances.at(unbounded.instance());
    if (instance.host != host) continue;
    const EnvironmentName& name = instance.assignment.environment();
    const v1::InstanceReport report = Bounded(unbounded);
    const bool late = report.attempt() != instance.assignment.attempt();
    // An agent says that it has stopped only once it was told to. That it failed may be a late word
    // about an earlier attempt, while this one runs and needs its memory.
    const bool stopped =
        report.phase() == v1::PHASE_STOPPED || (report.phase() == v1::PHASE_FAILED && !late);
    if (instance.assignment.intent() == v1::INTENT_STOP && stopped) {
      v1::InstanceRemoved* removed = decision.events.emplace_back().mutable_instance_removed();
      removed->set_host(host);
      *removed->mutable_environment() = name;
      removed->set_instance(report.instance());
      continue;
    }
    // A late word about an earlier attempt says nothing about this one.
    if (late) continue;
    if (Same(instance.observed, report)) continue;
    v1::InstanceObserved* observed = decision.events.emplace_back().mutable_instance_observed();
    observed->set_host(host);
    *observed->mutable_environment() = name;
    *observed->mutable_observed() = report;
    *observed->mutable_time() = ToTimestamp(context.now);
    observed->set_position(context.position);
  }
  return decision;
}

Decided<v1::Event, v1::RestartResponse> State::Decide(const v1::RestartRequest& request,
                                                      const DecisionContext& context) const {
  BERTH_RETURN_IF_ERROR(StatusOf(request.environment()).status());
  const Environment& environment = environments_.at(ToString(request.environment()));
  const auto& replicas = environment.wanted.desired().replicas();
  if ((environment.rollout.phase != v1::ROLLOUT_PHASE_SUCCEEDED &&
       !environment.rollout.IsReturning()) ||
      environment.rollout.promotion != environment.wanted.promotion()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "release ", environment.wanted.desired().number(), " of ", ToString(request.environment()),
        " is being rolled out; wait for that, or see: berth why"));
  }
  Decision<Event, v1::RestartResponse> decision;
  std::set<std::string> types(request.process_types().begin(), request.process_types().end());
  if (types.empty()) {
    for (const auto& [type, count] : replicas) types.insert(type);
  }
  v1::ProcessesRestarted* restarted = decision.events.emplace_back().mutable_processes_restarted();
  *restarted->mutable_environment() = request.environment();
  restarted->set_restart(context.position);
  uint32_t wanted = 0;
  for (const std::string& type : types) {
    const auto known = replicas.find(type);
    if (known == replicas.end()) {
      return absl::NotFoundError(absl::StrCat(
          ToString(request.environment()), " has no process type ", type, "; see: berth status"));
    }
    wanted += known->second;
    restarted->add_process_types(type);
  }
  *decision.response.mutable_process_types() = restarted->process_types();
  decision.response.set_restart(restarted->restart());
  decision.response.set_replicas(wanted);
  decision.response.set_promotion(environment.rollout.promotion);
  return decision;
}

Decided<v1::Event, v1::ExecGrant> State::Decide(const v1::ExecRequest& request,
                                                const DecisionContext& context) const {
  BERTH_RETURN_IF_ERROR(StatusOf(request.environment()).status());
  size_t bytes = 0;
  for (const std::string& argument : request.command()) bytes += argument.size() + 1;
  if (request.command().empty() || request.command(0).empty() || bytes > kExecCommandBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("a command is a program with its arguments, of ",
                                                   kExecCommandBytesMax, " bytes at most"));
  }
  const Environment& environment = environments_.at(ToString(request.environment()));
  const Instance* chosen = nullptr;
  bool known = false;
  for (const auto& [id, instance] : environment.instances) {
    if (request.target() != id && request.target() != instance.assignment.process_type()) continue;
    known = true;
    const v1::Phase phase = instance.observed.phase();
    if (phase == v1::PHASE_READY) {
      chosen = &instance;
      break;
    }
    if (phase == v1::PHASE_STARTING || phase == v1::PHASE_UNREADY) chosen = &instance;
  }
  if (!known) {
    return absl::NotFoundError(absl::StrCat(ToString(request.environment()),
                                            " has no instance and no instance of a process type ",
                                            request.target(), "; see: berth status"));
  }
  if (chosen == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat(request.target(), " does not run now; see: berth why ", request.target()));
  }
  Decision<Event, v1::ExecGrant> decision;
  v1::ExecGrant& grant = decision.response;
  grant.set_host(chosen->host);
  grant.set_instance(chosen->assignment.instance());
  *grant.mutable_environment() = request.environment();
  grant.set_principal(context.principal);
  *grant.mutable_command() = request.command();
  *grant.mutable_expire_time() = ToTimestamp(context.now + kExecGrantLifetime);
  grant.set_id(context.ids->NewId());
  *decision.events.emplace_back().mutable_exec_granted()->mutable_grant() = grant;
  return decision;
}

Decided<v1::Event, v1::ReportResponse> State::MarkFences(const EdgeReports& reports) const {
  Decision<Event, v1::ReportResponse> decision;
  // Whether every edge has applied `position`, and says of the instance what `agrees` asks for.
  auto every_edge = [&](uint64_t position, auto agrees) {
    for (const auto& [name, edge] : edges_) {
      if (edge.excluded) continue;
      const auto report = reports.find(name);
      if (report == reports.end() || report->second.applied().position() < position ||
          !agrees(report->second)) {
        return false;
      }
    }
    return true;
  };
  auto reached = [&](const std::string& id, const Instance& instance, v1::Fence fence) {
    v1::FenceReached* event = decision.events.emplace_back().mutable_fence_reached();
    event->set_host(instance.host);
    *event->mutable_environment() = instance.assignment.environment();
    event->set_instance(id);
    event->set_fence(fence);
  };
  for (const auto& [key, environment] : environments_) {
    for (const auto& [id, instance] : environment.instances) {
      if (instance.assignment.intent() != v1::INTENT_RUN) continue;
      if (instance.draining) {
        if (!instance.idle && every_edge(instance.draining_position, [&id](const auto& report) {
              const auto open = report.connections().find(id);
              return open == report.connections().end() || open->second == 0;
            })) {
          reached(id, instance, v1::FENCE_IDLE);
        }
      } else if (!instance.serving && instance.observed.phase() == v1::PHASE_READY &&
                 every_edge(instance.ready_position, [&id](const auto& report) {
                   const auto& missed = report.not_reached();
                   return std::find(missed.begin(), missed.end(), id) == missed.end();
                 })) {
        reached(id, instance, v1::FENCE_SERVING);
      }
    }
  }
  return decision;
}

Decided<v1::Event, v1::ReportResponse> State::SetPresence(const std::string& host,
                                                          v1::HostPresence presence) const {
  Decision<Event, v1::ReportResponse> decision;
  const auto known = hosts_.find(host);
  if (known == hosts_.end() || known->second.presence == presence) return decision;
  // It is not let in to report: until a person has approved its keys, it is left as it was.
  if (known->second.machine.status() != auth::v1::MACHINE_STATUS_ACTIVE) return decision;
  v1::HostPresenceChanged* changed = decision.events.emplace_back().mutable_host_presence_changed();
  changed->set_host(host);
  changed->set_presence(presence);
  return decision;
}

Decided<v1::Event, v1::ReportResponse> State::MarkReported(const EnvironmentName& environment,
                                                           uint64_t promotion) const {
  Decision<Event, v1::ReportResponse> decision;
  const auto known = environments_.find(ToString(environment));
  if (known == environments_.end() || known->second.rollout.promotion != promotion ||
      known->second.rollout.reported) {
    return decision;
  }
  v1::RolloutReported* reported = decision.events.emplace_back().mutable_rollout_reported();
  *reported->mutable_environment() = environment;
  reported->set_promotion(promotion);
  return decision;
}

Instance* State::Find(const EnvironmentName& environment, const std::string& instance) {
  auto& instances = environments_[ToString(environment)].instances;
  const auto found = instances.find(instance);
  BERTH_CHECK_MESSAGE(found != instances.end(), instance);
  return &found->second;
}

void State::Remove(const EnvironmentName& environment, const std::string& id) {
  const Instance& instance = *Find(environment, id);
  if (const auto host = hosts_.find(instance.host); host != hosts_.end()) {
    const types::v1::Resources& taken = instance.assignment.process().resources();
    types::v1::Resources& promised = host->second.promised;
    promised.set_cpu_milli(promised.cpu_milli() - taken.cpu_milli());
    promised.set_memory_bytes(promised.memory_bytes() - taken.memory_bytes());
    host->second.instances.erase(id);
  }
  environment_of_.erase(id);
  environments_[ToString(environment)].instances.erase(id);
}

void State::ApplyObserved(const v1::InstanceObserved& event) {
  Instance& instance = *Find(event.environment(), event.observed().instance());
  const absl::Time time = FromTimestamp(event.time());
  const v1::Phase before = instance.observed.phase();
  instance.observed = event.observed();
  instance.observed_time = time;
  instance.observed_position = event.position();
  if (event.observed().phase() == v1::PHASE_READY) {
    if (before != v1::PHASE_READY) {
      instance.ready_since = time;
      instance.ready_position = event.position();
    }
    return;
  }
  if (instance.ready_since.has_value() && time - *instance.ready_since >= kStableAfter) {
    instance.failures_in_row = 0;
  }
  if (event.observed().phase() == v1::PHASE_FAILED && before != v1::PHASE_FAILED) {
    ++instance.failures_in_row;
  }
  instance.ready_since.reset();
  instance.serving = false;
}

std::vector<v1::Event> State::ClockWasSet(absl::Duration by) const {
  if (environments_.empty()) return {};
  std::vector<Event> events(1);
  *events.front().mutable_clock_set()->mutable_by() = ToProtoDuration(by);
  return events;
}

void State::MoveTimes(absl::Duration by) {
  // A time that is not there is infinite, and stays so, or is not looked at.
  for (auto& [key, environment] : environments_) {
    environment.rollout.start_time += by;
    environment.rollout.deadline += by;
    for (auto& [id, instance] : environment.instances) {
      instance.observed_time += by;
      if (instance.ready_since.has_value()) *instance.ready_since += by;
      instance.drain_deadline += by;
    }
  }
}

void State::Apply(const Event& event) {
  switch (event.event_case()) {
    case Event::kSourceAdvanced:
      cursors_[event.source_advanced().source()] = event.source_advanced().revision();
      return;
    case Event::kEnvironmentImported: {
      const config::v1::Environment& wanted = event.environment_imported().environment();
      environments_[ToString(wanted.name())].wanted = wanted;
      return;
    }
    case Event::kHostImported:
      hosts_[event.host_imported().machine().name()].machine = event.host_imported().machine();
      return;
    case Event::kHostRemoved:
      hosts_.erase(event.host_removed().host());
      return;
    case Event::kHostFactsChanged:
      hosts_[event.host_facts_changed().host()].facts = event.host_facts_changed().facts();
      return;
    case Event::kHostPresenceChanged:
      hosts_[event.host_presence_changed().host()].presence =
          event.host_presence_changed().presence();
      return;
    case Event::kRolloutStarted: {
      const v1::RolloutStarted& started = event.rollout_started();
      Environment& environment = environments_[ToString(started.environment())];
      environment.rollout = Rollout();
      environment.rollout.promotion = started.promotion();
      environment.rollout.release = started.release();
      environment.rollout.phase = v1::ROLLOUT_PHASE_RUNNING;
      environment.rollout.start_time = FromTimestamp(started.start_time());
      environment.rollout.deadline = FromTimestamp(started.deadline());
      environment.rollout.cause = started.cause();
      // Config knows promotions only.
      environment.rollout.reported = started.cause() == v1::ROLLOUT_CAUSE_SECRETS;
      environment.rollout.secret_versions = {started.secret_versions().begin(),
                                             started.secret_versions().end()};
      environment.secret_versions = environment.rollout.secret_versions;
      environment.unplaced.clear();
      return;
    }
    case Event::kInstancePlaced: {
      const v1::InstancePlaced& placed = event.instance_placed();
      const v1::Assignment& assignment = placed.assignment();
      const std::string key = ToString(assignment.environment());
      Instance& instance = environments_[key].instances[assignment.instance()];
      instance.host = placed.host();
      instance.assignment = assignment;
      instance.placed = placed.record();
      environments_[key].unplaced.erase(assignment.process_type());
      environment_of_[assignment.instance()] = key;
      Host& host = hosts_[placed.host()];
      const types::v1::Resources& taken = assignment.process().resources();
      host.promised.set_cpu_milli(host.promised.cpu_milli() + taken.cpu_milli());
      host.promised.set_memory_bytes(host.promised.memory_bytes() + taken.memory_bytes());
      host.instances.insert(assignment.instance());
      host.addresses_given = std::max(host.addresses_given, placed.address_number());
      return;
    }
    case Event::kPlacementRefused: {
      const v1::PlacementRefused& refused = event.placement_refused();
      environments_[ToString(refused.environment())].unplaced[refused.process_type()] =
          refused.reason();
      return;
    }
    case Event::kInstanceObserved:
      ApplyObserved(event.instance_observed());
      return;
    case Event::kAttemptStarted: {
      Instance& instance =
          *Find(event.attempt_started().environment(), event.attempt_started().instance());
      instance.assignment.set_attempt(event.attempt_started().attempt());
      instance.observed.Clear();
      instance.ready_since.reset();
      instance.ready_position = 0;
      instance.serving = false;
      return;
    }
    case Event::kProcessesRestarted: {
      const v1::ProcessesRestarted& restarted = event.processes_restarted();
      Environment& environment = environments_[ToString(restarted.environment())];
      for (const std::string& type : restarted.process_types()) {
        environment.restarts[type] = restarted.restart();
      }
      environment.unplaced.clear();
      return;
    }
    case Event::kExecGranted:
      return;  // For the record.
    case Event::kInstanceDraining: {
      const v1::InstanceDraining& draining = event.instance_draining();
      Instance& instance = *Find(draining.environment(), draining.instance());
      instance.draining = true;
      instance.draining_position = draining.position();
      if (draining.has_deadline()) instance.drain_deadline = FromTimestamp(draining.deadline());
      return;
    }
    case Event::kFenceReached: {
      const v1::FenceReached& reached = event.fence_reached();
      Instance& instance = *Find(reached.environment(), reached.instance());
      (reached.fence() == v1::FENCE_IDLE ? instance.idle : instance.serving) = true;
      return;
    }
    case Event::kHostLabelled:
      hosts_[event.host_labelled().host()].labels = {event.host_labelled().labels().begin(),
                                                     event.host_labelled().labels().end()};
      return;
    case Event::kEdgeImported:
      edges_[event.edge_imported().edge()].machine = event.edge_imported().machine();
      return;
    case Event::kEdgeRemoved:
      edges_.erase(event.edge_removed().edge());
      return;
    case Event::kEdgeExcluded:
      edges_[event.edge_excluded().edge()].excluded = true;
      return;
    case Event::kEdgeIncluded:
      edges_[event.edge_included().edge()].excluded = false;
      return;
    case Event::kRouteStatesImported: {
      const v1::RouteStatesImported& routes = event.route_states_imported();
      Environment& environment = environments_[ToString(routes.environment())];
      environment.routes_promotion = routes.promotion();
      environment.routes_refused = {routes.refused().begin(), routes.refused().end()};
      environment.standing_routes = {routes.standing().begin(), routes.standing().end()};
      return;
    }
    case Event::kInstanceStopping:
      Find(event.instance_stopping().environment(), event.instance_stopping().instance())
          ->assignment.set_intent(v1::INTENT_STOP);
      return;
    case Event::kInstanceRemoved:
      Remove(event.instance_removed().environment(), event.instance_removed().instance());
      return;
    case Event::kRolloutSucceeded: {
      Environment& environment = environments_[ToString(event.rollout_succeeded().environment())];
      environment.rollout.phase = v1::ROLLOUT_PHASE_SUCCEEDED;
      environment.secret_versions_before = environment.secret_versions;
      return;
    }
    case Event::kRolloutFailed: {
      const v1::RolloutFailed& failed = event.rollout_failed();
      Environment& environment = environments_[ToString(failed.environment())];
      Rollout& rollout = environment.rollout;
      environment.failure = failed;
      environment.failed_release = rollout.release;
      rollout.phase = v1::ROLLOUT_PHASE_FAILED;
      rollout.reason = failed.reason();
      rollout.failed_instance = failed.failed_instance();
      environment.secret_versions = environment.secret_versions_before;
      return;
    }
    case Event::kActiveSecretsImported: {
      const v1::ActiveSecretsImported& imported = event.active_secrets_imported();
      const std::string key = ToString(imported.environment());
      EnvironmentSecrets& secrets = active_secrets_[key];
      secrets.name = imported.environment();
      secrets.active = {imported.versions().begin(), imported.versions().end()};
      if (secrets.active.empty()) active_secrets_.erase(key);
      return;
    }
    case Event::kRolloutReported:
      environments_[ToString(event.rollout_reported().environment())].rollout.reported = true;
      return;
    case Event::kClockSet:
      MoveTimes(FromProtoDuration(event.clock_set().by()));
      return;
    case Event::EVENT_NOT_SET:
      break;
  }
  BERTH_CHECK_MESSAGE(false, "an event without content");
}

namespace {

// An instance is shown to its host, in its environment, and to whoever routes to it.
template <typename InstanceEvent>
void TouchInstance(const InstanceEvent& event, std::set<TopicKey>* keys) {
  keys->insert({State::kEndpointsTopic, event.instance()});
  keys->insert({HostTopic(event.host()), InstanceKey(event.instance())});
  keys->insert({EnvironmentTopic(event.environment()), InstanceKey(event.instance())});
}

}  // namespace

std::string State::OrgOf(const Event& event) const {
  const auto of_host = [this](const std::string& name) {
    const auto host = hosts_.find(name);
    return host == hosts_.end() ? "" : host->second.machine.org();
  };
  const auto of_edge = [this](const std::string& name) {
    const auto edge = edges_.find(name);
    return edge == edges_.end() ? "" : edge->second.machine.org();
  };
  if (event.has_host_facts_changed()) return of_host(event.host_facts_changed().host());
  if (event.has_host_presence_changed()) return of_host(event.host_presence_changed().host());
  if (event.has_host_removed()) return of_host(event.host_removed().host());
  if (event.has_host_labelled()) return of_host(event.host_labelled().host());
  if (event.has_edge_removed()) return of_edge(event.edge_removed().edge());
  if (event.has_edge_excluded()) return of_edge(event.edge_excluded().edge());
  if (event.has_edge_included()) return of_edge(event.edge_included().edge());
  return "";
}

void State::Touched(const Event& event, std::set<TopicKey>* keys) const {
  switch (event.event_case()) {
    case Event::kInstancePlaced: {
      const v1::InstancePlaced& placed = event.instance_placed();
      const std::string key = InstanceKey(placed.assignment().instance());
      keys->insert({HostTopic(placed.host()), key});
      keys->insert({EnvironmentTopic(placed.assignment().environment()), key});
      // What the rollout waited for may have been this.
      keys->insert({EnvironmentTopic(placed.assignment().environment()), kRolloutKey});
      return;
    }
    case Event::kInstanceObserved: {
      const v1::InstanceObserved& observed = event.instance_observed();
      const std::string& id = observed.observed().instance();
      keys->insert({EnvironmentTopic(observed.environment()), InstanceKey(id)});
      keys->insert({kEndpointsTopic, id});
      return;
    }
    case Event::kAttemptStarted:
      return TouchInstance(event.attempt_started(), keys);
    case Event::kInstanceDraining:
      return TouchInstance(event.instance_draining(), keys);
    case Event::kInstanceStopping:
      return TouchInstance(event.instance_stopping(), keys);
    case Event::kInstanceRemoved:
      return TouchInstance(event.instance_removed(), keys);
    case Event::kRolloutStarted:
      keys->insert({EnvironmentTopic(event.rollout_started().environment()), kRolloutKey});
      return;
    case Event::kProcessesRestarted:
      keys->insert({EnvironmentTopic(event.processes_restarted().environment()), kRolloutKey});
      return;
    case Event::kPlacementRefused:
      keys->insert({EnvironmentTopic(event.placement_refused().environment()), kRolloutKey});
      return;
    case Event::kRolloutSucceeded:
      keys->insert({EnvironmentTopic(event.rollout_succeeded().environment()), kRolloutKey});
      return;
    case Event::kRolloutFailed:
      keys->insert({EnvironmentTopic(event.rollout_failed().environment()), kRolloutKey});
      return;
    case Event::kEnvironmentImported:
      keys->insert(
          {EnvironmentTopic(event.environment_imported().environment().name()), kRolloutKey});
      return;
    case Event::kHostImported:
      // Nothing is sent to a host whose keys have changed.
      for (const std::string& id : hosts_.at(event.host_imported().machine().name()).instances) {
        keys->insert({kEndpointsTopic, id});
      }
      return;
    case Event::kClockSet:
      for (const auto& [key, environment] : environments_) {
        keys->insert({EnvironmentTopic(environment.wanted.name()), kRolloutKey});
      }
      return;
    case Event::kExecGranted:
    case Event::kSourceAdvanced:
    case Event::kHostRemoved:
    case Event::kHostFactsChanged:
    case Event::kHostLabelled:
    case Event::kHostPresenceChanged:
    case Event::kRolloutReported:
    case Event::kFenceReached:
    case Event::kEdgeImported:
    case Event::kEdgeRemoved:
    case Event::kEdgeExcluded:
    case Event::kEdgeIncluded:
    case Event::kRouteStatesImported:
    case Event::kActiveSecretsImported:
    case Event::EVENT_NOT_SET:
      return;
  }
}

std::optional<std::string> State::View(const TopicKey& key) const {
  absl::string_view topic = key.first;
  absl::string_view id = key.second;
  if (absl::ConsumePrefix(&topic, kEnvironmentTopicPrefix)) {
    const auto environment = environments_.find(std::string(topic));
    if (environment == environments_.end()) return std::nullopt;
    if (key.second == kRolloutKey) {
      return ToProto(environment->second).SerializeAsString();
    }
    if (!absl::ConsumePrefix(&id, kInstancePrefix)) return std::nullopt;
    const auto instance = environment->second.instances.find(std::string(id));
    if (instance == environment->second.instances.end()) return std::nullopt;
    return ToProto(instance->first, instance->second).SerializeAsString();
  }
  if (topic == kEndpointsTopic) {
    const auto environment = environment_of_.find(key.second);
    if (environment == environment_of_.end()) return std::nullopt;
    const std::optional<v1::Endpoint> endpoint =
        EndpointOf(environments_.at(environment->second).instances.at(key.second));
    if (!endpoint.has_value()) return std::nullopt;
    return endpoint->SerializeAsString();
  }
  if (absl::ConsumePrefix(&topic, kHostTopicPrefix) && absl::ConsumePrefix(&id, kInstancePrefix)) {
    const auto environment = environment_of_.find(std::string(id));
    if (environment == environment_of_.end()) return std::nullopt;
    return environments_.at(environment->second)
        .instances.at(std::string(id))
        .assignment.SerializeAsString();
  }
  return std::nullopt;
}

TopicEntries State::Entries(const std::string& topic_name) const {
  TopicEntries entries;
  absl::string_view topic = topic_name;
  if (topic == kEndpointsTopic) {
    for (const auto& [id, environment] : environment_of_) {
      if (std::optional<std::string> endpoint = View({topic_name, id})) {
        entries.emplace_back(id, *std::move(endpoint));
      }
    }
    return entries;
  }
  if (absl::ConsumePrefix(&topic, kHostTopicPrefix)) {
    const auto host = hosts_.find(std::string(topic));
    if (host == hosts_.end()) return entries;
    for (const std::string& id : host->second.instances) {
      const std::string key = InstanceKey(id);
      entries.emplace_back(key, *View({topic_name, key}));
    }
  } else if (absl::ConsumePrefix(&topic, kEnvironmentTopicPrefix)) {
    const auto environment = environments_.find(std::string(topic));
    if (environment == environments_.end()) return entries;
    for (const auto& [id, instance] : environment->second.instances) {
      entries.emplace_back(InstanceKey(id), ToProto(id, instance).SerializeAsString());
    }
    entries.emplace_back(kRolloutKey, ToProto(environment->second).SerializeAsString());
  }
  return entries;
}

const SecretVersions& State::ActiveSecrets(const std::string& environment) const {
  static const auto* const none = new SecretVersions();
  const auto found = active_secrets_.find(environment);
  return found == active_secrets_.end() ? *none : found->second.active;
}

std::optional<watch::v1::Revision> State::Cursor(const std::string& source) const {
  const auto found = cursors_.find(source);
  if (found == cursors_.end()) return std::nullopt;
  return found->second;
}

absl::StatusOr<v1::GetEnvironmentStatusResponse> State::StatusOf(
    const EnvironmentName& name) const {
  const auto found = environments_.find(ToString(name));
  if (found == environments_.end()) {
    return absl::NotFoundError(
        absl::StrCat("nothing was deployed to ", ToString(name), " yet; see: berth deploy"));
  }
  const Environment& environment = found->second;
  v1::GetEnvironmentStatusResponse status;
  *status.mutable_rollout() = ToProto(environment);
  for (const auto& [id, instance] : environment.instances) {
    *status.add_instances() = ToProto(id, instance);
  }
  std::sort(status.mutable_instances()->begin(), status.mutable_instances()->end(),
            [](const v1::Instance& left, const v1::Instance& right) {
              return std::pair(left.process_type(), left.id()) <
                     std::pair(right.process_type(), right.id());
            });
  *status.mutable_replicas() = environment.wanted.desired().replicas();
  status.mutable_unplaced()->insert(environment.unplaced.begin(), environment.unplaced.end());
  return status;
}

v1::ListHostsResponse State::HostsOf(const std::string& org) const {
  v1::ListHostsResponse response;
  for (const auto& [name, host] : hosts_) {
    if (host.machine.org() != org) continue;
    v1::Host* shown = response.add_hosts();
    shown->set_name(name);
    shown->set_presence(host.presence);
    *shown->mutable_facts() = host.facts;
    *shown->mutable_promised() = host.promised;
    shown->set_instances(static_cast<uint32_t>(host.instances.size()));
    shown->set_prefix(host.machine.prefix());
    shown->mutable_labels()->insert(host.labels.begin(), host.labels.end());
  }
  return response;
}

bool State::WaitsForEdges() const {
  return std::any_of(edges_.begin(), edges_.end(),
                     [](const auto& entry) { return !entry.second.excluded; });
}

v1::ListEdgesResponse State::EdgesOf(const std::string& org, const EdgeReports& reports) const {
  v1::ListEdgesResponse response;
  for (const auto& [name, edge] : edges_) {
    if (edge.machine.org() != org) continue;
    v1::Edge* shown = response.add_edges();
    shown->set_name(name);
    shown->set_excluded(edge.excluded);
    const auto report = reports.find(name);
    if (report == reports.end()) continue;
    shown->set_applied_position(report->second.applied().position());
    shown->set_table_position(report->second.table().position());
    *shown->mutable_not_reached() = report->second.not_reached();
    *shown->mutable_listener_problems() = report->second.listener_problems();
    for (const auto& [instance, open] : report->second.connections()) {
      shown->set_connections(shown->connections() + open);
    }
  }
  return response;
}

Decided<v1::Event, v1::LabelHostResponse> State::Decide(const v1::LabelHostRequest& request) const {
  const auto host = hosts_.find(request.host());
  if (host == hosts_.end() || host->second.machine.org() != request.org()) {
    return absl::NotFoundError(absl::StrCat(request.org(), " has no host ", request.host()));
  }
  std::map<std::string, std::string> labels = host->second.labels;
  for (const std::string& name : request.removed()) labels.erase(name);
  for (const auto& [name, value] : request.labels()) {
    BERTH_RETURN_IF_ERROR(CheckName("a label", name));
    if (value.empty() || value.size() > kLabelValueSizeMax) {
      return absl::InvalidArgumentError(absl::StrCat("the value of label ", name, " has 1 to ",
                                                     kLabelValueSizeMax, " characters"));
    }
    labels[name] = value;
  }
  if (labels.size() > kLabelsPerHostMax) {
    return absl::FailedPreconditionError(absl::StrCat(request.host(), " would have ", labels.size(),
                                                      " labels, and a host has at most ",
                                                      kLabelsPerHostMax, "; remove some"));
  }
  Decision<Event, v1::LabelHostResponse> decision;
  decision.response.mutable_labels()->insert(labels.begin(), labels.end());
  if (labels != host->second.labels) {
    v1::HostLabelled* labelled = decision.events.emplace_back().mutable_host_labelled();
    labelled->set_host(request.host());
    labelled->mutable_labels()->insert(labels.begin(), labels.end());
  }
  return decision;
}

absl::StatusOr<const Edge*> State::FindEdge(const std::string& org, const std::string& edge) const {
  const auto found = edges_.find(edge);
  if (found == edges_.end() || found->second.machine.org() != org) {
    return absl::NotFoundError(absl::StrCat(org, " has no edge ", edge));
  }
  return &found->second;
}

Decided<v1::Event, v1::ExcludeEdgeResponse> State::Decide(
    const v1::ExcludeEdgeRequest& request) const {
  BERTH_ASSIGN_OR_RETURN(const Edge* const edge, FindEdge(request.org(), request.edge()));
  Decision<Event, v1::ExcludeEdgeResponse> decision;
  if (!edge->excluded) {
    decision.events.emplace_back().mutable_edge_excluded()->set_edge(request.edge());
  }
  return decision;
}

Decided<v1::Event, v1::IncludeEdgeResponse> State::Decide(
    const v1::IncludeEdgeRequest& request) const {
  BERTH_ASSIGN_OR_RETURN(const Edge* const edge, FindEdge(request.org(), request.edge()));
  Decision<Event, v1::IncludeEdgeResponse> decision;
  if (edge->excluded) {
    decision.events.emplace_back().mutable_edge_included()->set_edge(request.edge());
  }
  return decision;
}

std::optional<v1::Endpoint> State::EndpointOf(const Instance& instance) const {
  const v1::Assignment& assignment = instance.assignment;
  const auto host = hosts_.find(instance.host);
  if (host != hosts_.end() && host->second.machine.status() != auth::v1::MACHINE_STATUS_ACTIVE) {
    return std::nullopt;
  }
  if (assignment.intent() != v1::INTENT_RUN ||
      (!instance.draining && instance.observed.phase() != v1::PHASE_READY)) {
    return std::nullopt;
  }
  v1::Endpoint endpoint;
  endpoint.set_instance(assignment.instance());
  *endpoint.mutable_environment() = assignment.environment();
  endpoint.set_process_type(assignment.process_type());
  endpoint.set_address(assignment.address());
  for (const auto& [name, port] : assignment.process().ports()) {
    (*endpoint.mutable_ports())[name] = port.port();
  }
  endpoint.set_draining(instance.draining);
  return endpoint;
}

v1::Instance State::ToProto(const std::string& id, const Instance& instance) {
  v1::Instance shown;
  shown.set_id(id);
  shown.set_process_type(instance.assignment.process_type());
  shown.set_release(instance.assignment.release());
  shown.set_host(instance.host);
  shown.set_address(instance.assignment.address());
  shown.set_intent(instance.assignment.intent());
  *shown.mutable_observed() = instance.observed;
  shown.set_draining(instance.draining);
  shown.set_restart(instance.assignment.restart());
  shown.set_given_up(instance.failures_in_row >= kFailuresMax);
  for (const auto& [name, port] : instance.assignment.process().ports()) {
    (*shown.mutable_ports())[name] = port.port();
  }
  return shown;
}

v1::Rollout State::ToProto(const Environment& environment) {
  const Rollout& rollout = environment.rollout;
  v1::Rollout shown;
  shown.set_promotion(rollout.promotion);
  shown.set_release(rollout.release);
  shown.set_phase(rollout.phase);
  shown.set_reason(rollout.reason);
  shown.set_cause(rollout.cause);
  shown.mutable_secret_versions()->insert(rollout.secret_versions.begin(),
                                          rollout.secret_versions.end());
  if (rollout.phase != v1::ROLLOUT_PHASE_FAILED && !environment.unplaced.empty()) {
    shown.set_reason(environment.unplaced.begin()->second);
  }
  *shown.mutable_start_time() = ToTimestamp(rollout.start_time);
  if (!rollout.failed_instance.instance().empty()) {
    *shown.mutable_failed_instance() = rollout.failed_instance;
  }
  return shown;
}

}  // namespace berth::scheduler
