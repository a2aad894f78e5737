#include "common/time/timestamp.h"
#include "services/scheduler/state.h"

namespace berth::scheduler {

// Every member is named where it is saved: one that is added stops the build there.
namespace {

using google::protobuf::RepeatedPtrField;
using google::protobuf::Timestamp;

void Save(const std::map<std::string, uint64_t>& numbers,
          RepeatedPtrField<v1::SavedNumber>* saved) {
  for (const auto& [key, number] : numbers) {
    v1::SavedNumber& saved_number = *saved->Add();
    saved_number.set_key(key);
    saved_number.set_number(number);
  }
}

void Save(const std::map<std::string, std::string>& texts, RepeatedPtrField<v1::SavedText>* saved) {
  for (const auto& [key, text] : texts) {
    v1::SavedText& saved_text = *saved->Add();
    saved_text.set_key(key);
    saved_text.set_text(text);
  }
}

std::map<std::string, uint64_t> Numbers(const RepeatedPtrField<v1::SavedNumber>& saved) {
  std::map<std::string, uint64_t> numbers;
  for (const v1::SavedNumber& number : saved) numbers[number.key()] = number.number();
  return numbers;
}

std::map<std::string, std::string> Texts(const RepeatedPtrField<v1::SavedText>& saved) {
  std::map<std::string, std::string> texts;
  for (const v1::SavedText& text : saved) texts[text.key()] = text.text();
  return texts;
}

v1::SavedHost Save(const std::string& name, const Host& host) {
  const auto& [machine, facts, presence, promised, instances, addresses_given, labels] = host;
  v1::SavedHost saved;
  saved.set_name(name);
  *saved.mutable_machine() = machine;
  *saved.mutable_facts() = facts;
  saved.set_presence(presence);
  *saved.mutable_promised() = promised;
  for (const std::string& instance : instances) saved.add_instances(instance);
  saved.set_addresses_given(addresses_given);
  Save(labels, saved.mutable_labels());
  return saved;
}

Host Load(const v1::SavedHost& saved) {
  Host host;
  host.machine = saved.machine();
  host.facts = saved.facts();
  host.presence = saved.presence();
  host.promised = saved.promised();
  host.instances = {saved.instances().begin(), saved.instances().end()};
  host.addresses_given = saved.addresses_given();
  host.labels = Texts(saved.labels());
  return host;
}

v1::SavedInstance Save(const std::string& id, const Instance& instance) {
  const auto& [host, assignment, placed, observed, observed_time, observed_position, ready_since,
               failures_in_row, ready_position, draining_position, serving, draining, idle,
               drain_deadline] = instance;
  v1::SavedInstance saved;
  saved.set_instance(id);
  saved.set_host(host);
  *saved.mutable_assignment() = assignment;
  *saved.mutable_placed() = placed;
  *saved.mutable_observed() = observed;
  *saved.mutable_observed_time() = ToTimestamp(observed_time);
  saved.set_observed_position(observed_position);
  if (ready_since.has_value()) *saved.mutable_ready_since() = ToTimestamp(*ready_since);
  saved.set_failures_in_row(failures_in_row);
  saved.set_ready_position(ready_position);
  saved.set_draining_position(draining_position);
  saved.set_serving(serving);
  saved.set_draining(draining);
  saved.set_idle(idle);
  if (drain_deadline != absl::InfiniteFuture()) {
    *saved.mutable_drain_deadline() = ToTimestamp(drain_deadline);
  }
  return saved;
}

Instance Load(const v1::SavedInstance& saved) {
  Instance instance;
  instance.host = saved.host();
  instance.assignment = saved.assignment();
  instance.placed = saved.placed();
  instance.observed = saved.observed();
  instance.observed_time = FromTimestamp(saved.observed_time());
  instance.observed_position = saved.observed_position();
  if (saved.has_ready_since()) instance.ready_since = FromTimestamp(saved.ready_since());
  instance.failures_in_row = saved.failures_in_row();
  instance.ready_position = saved.ready_position();
  instance.draining_position = saved.draining_position();
  instance.serving = saved.serving();
  instance.draining = saved.draining();
  instance.idle = saved.idle();
  if (saved.has_drain_deadline()) instance.drain_deadline = FromTimestamp(saved.drain_deadline());
  return instance;
}

v1::SavedRollout Save(const Rollout& rollout) {
  const auto& [promotion, release, cause, phase, reason, start_time, deadline, failed_instance,
               secret_versions, reported] = rollout;
  v1::SavedRollout saved;
  saved.set_promotion(promotion);
  saved.set_release(release);
  saved.set_cause(cause);
  saved.set_phase(phase);
  saved.set_reason(reason);
  *saved.mutable_start_time() = ToTimestamp(start_time);
  if (deadline != absl::InfiniteFuture()) *saved.mutable_deadline() = ToTimestamp(deadline);
  *saved.mutable_failed_instance() = failed_instance;
  Save(secret_versions, saved.mutable_secret_versions());
  saved.set_reported(reported);
  return saved;
}

Rollout Load(const v1::SavedRollout& saved) {
  Rollout rollout;
  rollout.promotion = saved.promotion();
  rollout.release = saved.release();
  rollout.cause = saved.cause();
  rollout.phase = saved.phase();
  rollout.reason = saved.reason();
  rollout.start_time = FromTimestamp(saved.start_time());
  if (saved.has_deadline()) rollout.deadline = FromTimestamp(saved.deadline());
  rollout.failed_instance = saved.failed_instance();
  rollout.secret_versions = Numbers(saved.secret_versions());
  rollout.reported = saved.reported();
  return rollout;
}

v1::SavedEnvironment Save(const std::string& key, const Environment& environment) {
  const auto& [wanted, rollout, failure, failed_release, instances, restarts, unplaced,
               routes_promotion, routes_refused, standing_routes, secret_versions,
               secret_versions_before] = environment;
  v1::SavedEnvironment saved;
  saved.set_key(key);
  *saved.mutable_wanted() = wanted;
  *saved.mutable_rollout() = Save(rollout);
  if (failure.has_value()) *saved.mutable_failure() = *failure;
  saved.set_failed_release(failed_release);
  for (const auto& [id, instance] : instances) *saved.add_instances() = Save(id, instance);
  Save(restarts, saved.mutable_restarts());
  Save(unplaced, saved.mutable_unplaced());
  saved.set_routes_promotion(routes_promotion);
  Save(routes_refused, saved.mutable_routes_refused());
  for (const auto& [name, route] : standing_routes) {
    v1::SavedRoute& saved_route = *saved.add_standing_routes();
    saved_route.set_name(name);
    *saved_route.mutable_route() = route;
  }
  Save(secret_versions, saved.mutable_secret_versions());
  Save(secret_versions_before, saved.mutable_secret_versions_before());
  return saved;
}

Environment Load(const v1::SavedEnvironment& saved) {
  Environment environment;
  environment.wanted = saved.wanted();
  environment.rollout = Load(saved.rollout());
  if (saved.has_failure()) environment.failure = saved.failure();
  environment.failed_release = saved.failed_release();
  for (const v1::SavedInstance& instance : saved.instances()) {
    environment.instances[instance.instance()] = Load(instance);
  }
  environment.restarts = Numbers(saved.restarts());
  environment.unplaced = Texts(saved.unplaced());
  environment.routes_promotion = saved.routes_promotion();
  environment.routes_refused = Texts(saved.routes_refused());
  for (const v1::SavedRoute& route : saved.standing_routes()) {
    environment.standing_routes[route.name()] = route.route();
  }
  environment.secret_versions = Numbers(saved.secret_versions());
  environment.secret_versions_before = Numbers(saved.secret_versions_before());
  return environment;
}

}  // namespace

v1::StateSnapshot State::Save() const {
  v1::StateSnapshot saved;
  const auto& [hosts, edges, environments, active_secrets, cursors, environment_of] = *this;
  for (const auto& [name, host] : hosts) *saved.add_hosts() = scheduler::Save(name, host);
  for (const auto& [name, edge] : edges) {
    const auto& [machine, excluded] = edge;
    v1::SavedEdge& saved_edge = *saved.add_edges();
    saved_edge.set_name(name);
    *saved_edge.mutable_machine() = machine;
    saved_edge.set_excluded(excluded);
  }
  for (const auto& [key, environment] : environments) {
    *saved.add_environments() = scheduler::Save(key, environment);
  }
  for (const auto& [key, secrets] : active_secrets) {
    const auto& [name, active] = secrets;
    v1::SavedActiveSecrets& saved_secrets = *saved.add_active_secrets();
    saved_secrets.set_key(key);
    *saved_secrets.mutable_name() = name;
    scheduler::Save(active, saved_secrets.mutable_active());
  }
  for (const auto& [source, revision] : cursors) {
    v1::SavedCursor& saved_cursor = *saved.add_cursors();
    saved_cursor.set_source(source);
    *saved_cursor.mutable_revision() = revision;
  }
  return saved;
}

void State::Load(const v1::StateSnapshot& saved) {
  *this = State();
  for (const v1::SavedHost& host : saved.hosts()) hosts_[host.name()] = scheduler::Load(host);
  for (const v1::SavedEdge& edge : saved.edges()) {
    edges_[edge.name()] = {edge.machine(), edge.excluded()};
  }
  for (const v1::SavedEnvironment& environment : saved.environments()) {
    environments_[environment.key()] = scheduler::Load(environment);
    for (const v1::SavedInstance& instance : environment.instances()) {
      environment_of_[instance.instance()] = environment.key();
    }
  }
  for (const v1::SavedActiveSecrets& secrets : saved.active_secrets()) {
    active_secrets_[secrets.key()] = {secrets.name(), Numbers(secrets.active())};
  }
  for (const v1::SavedCursor& cursor : saved.cursors()) {
    cursors_[cursor.source()] = cursor.revision();
  }
}

}  // namespace berth::scheduler
