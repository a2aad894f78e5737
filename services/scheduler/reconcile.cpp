#include "services/scheduler/reconcile.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/ids/names.h"
#include "common/secrets/grant.h"
#include "common/time/timestamp.h"
#include "services/scheduler/explain.h"
#include "services/scheduler/feasibility.h"
#include "services/scheduler/scoring.h"

namespace berth::scheduler {
namespace {

using config::v1::Process;
using config::v1::Release;
using types::v1::EnvironmentName;

constexpr uint32_t kSurgeDefault = 1;
// How long a host may take to report an image that was made on it a moment ago.
constexpr absl::Duration kImageReportMax = absl::Seconds(15);

// What an instance of the release runs, apart from how many there are.
std::string ContentDigest(const Release& release) {
  return absl::StrCat(release.image(), "+", release.manifest_digest());
}

absl::Duration RestartDelay(int failures_in_row) {
  return std::min(kRestartDelayMax, kRestartDelayMin * (1 << std::min(failures_in_row - 1, 10)));
}

// Whether it was given the secrets that it should have now. One that was deleted takes nothing from
// what runs.
bool HasSecrets(const Environment& environment, const v1::Assignment& assignment) {
  for (const std::string& name : assignment.process().secrets().names()) {
    const auto wanted = environment.secret_versions.find(name);
    const auto given = assignment.secret_versions().find(name);
    if (wanted != environment.secret_versions.end() &&
        (given == assignment.secret_versions().end() || given->second != wanted->second)) {
      return false;
    }
  }
  return true;
}

// Whether an edge may have sent it a connection that is open still. One edge is enough: that others
// have not acknowledged it says nothing.
bool MayHaveConnections(const Instance& instance) {
  return instance.ready_position > 0 && instance.observed.phase() != v1::PHASE_FAILED;
}

bool MayRestart(const Instance& instance) {
  return instance.observed.phase() == v1::PHASE_FAILED &&
         instance.assignment.intent() == v1::INTENT_RUN && !instance.draining &&
         instance.failures_in_row < State::kFailuresMax;
}

absl::Time RestartTime(const Instance& instance) {
  return instance.observed_time + RestartDelay(instance.failures_in_row);
}

// One round over one environment. Collects events; does not apply them, so each round makes only
// changes that do not build on each other.
class Round {
 public:
  Round(const State& state, const Environment& environment, const SigningKey* grant_key,
        const DecisionContext& context)
      : state_(state),
        environment_(environment),
        grant_key_(grant_key),
        name_(environment.wanted.name()),
        release_(environment.wanted.desired()),
        content_(ContentDigest(release_)),
        active_secrets_(state.ActiveSecrets(ToString(name_))),
        context_(context) {}

  std::vector<v1::Event> Run() {
    const Rollout& rollout = environment_.rollout;
    if (environment_.wanted.promotion() > rollout.promotion) {
      StartRollout(v1::ROLLOUT_CAUSE_PROMOTION);
      return std::move(events_);
    }
    const bool waits_for_config =
        rollout.phase == v1::ROLLOUT_PHASE_FAILED && !rollout.IsReturning();
    // Config hears first how a promotion went: what follows it is none that config knows of.
    const bool is_told = rollout.phase == v1::ROLLOUT_PHASE_RUNNING || rollout.reported;
    if (!waits_for_config && is_told && SecretsMoved()) {
      // What has not ended begins anew, and is still what it was.
      StartRollout(rollout.phase == v1::ROLLOUT_PHASE_RUNNING ? rollout.cause
                                                              : v1::ROLLOUT_CAUSE_SECRETS);
      return std::move(events_);
    }
    MoveFromLostHosts();
    StopDrained();
    // Until config has taken a failed rollout back, nothing is replaced: what serves, serves on.
    if (waits_for_config) {
      RestartFailed();
      return std::move(events_);
    }
    if (rollout.phase == v1::ROLLOUT_PHASE_RUNNING && FailRollout()) return std::move(events_);
    RestartFailed();
    for (const std::string& type : ProcessTypes()) {
      ReconcileProcess(type);
      if (over_) break;
    }
    if (events_.empty() && rollout.phase == v1::ROLLOUT_PHASE_RUNNING && IsConverged()) {
      v1::RolloutSucceeded* succeeded = events_.emplace_back().mutable_rollout_succeeded();
      *succeeded->mutable_environment() = name_;
      succeeded->set_promotion(rollout.promotion);
    }
    return std::move(events_);
  }

 private:
  // The replicas of one process type that should run, in the order in which they would be given up:
  // those not ready first, then the newest.
  struct Replicas {
    std::vector<const std::pair<const std::string, Instance>*> current;  // Of the wanted content.
    std::vector<const std::pair<const std::string, Instance>*> old;
    size_t healthy_current = 0;
    size_t healthy_old = 0;
  };

  // Whether old replicas of a process type may go, and so make room.
  enum class Retiring {
    kNow,    // One gives no service, or more serve than have to.
    kLater,  // Once a new one is healthy.
    kNever,
  };

  // Whether the instance is what its process type should run; another one is replaced.
  bool IsCurrent(const Instance& instance) const {
    return scheduler::IsCurrent(environment_, instance);
  }

  // Whether what was last seen of the instance says something of the rollout.
  bool IsOfRollout(const Instance& instance) const {
    const Rollout& rollout = environment_.rollout;
    // One of secrets leaves alone what is given none.
    return IsCurrent(instance) && instance.observed_time >= rollout.start_time &&
           (rollout.cause != v1::ROLLOUT_CAUSE_SECRETS ||
            instance.assignment.process().has_secrets());
  }

  // The active versions of the secrets that the release names.
  SecretVersions NamedSecrets() const {
    SecretVersions named;
    for (const auto& [type, process] : release_.manifest().processes()) {
      for (const std::string& name : process.secrets().names()) {
        const auto active = active_secrets_.find(name);
        if (active != active_secrets_.end()) named.insert(*active);
      }
    }
    return named;
  }

  // Whether a version is active that the newest rollout does not bring.
  bool SecretsMoved() const {
    for (const auto& [name, version] : NamedSecrets()) {
      const auto brought = environment_.rollout.secret_versions.find(name);
      if (brought == environment_.rollout.secret_versions.end() || brought->second != version) {
        return true;
      }
    }
    return false;
  }

  // Ready for long enough, and known to every edge where connections are routed to it.
  bool IsHealthy(const Instance& instance) const {
    const std::optional<absl::Time> healthy = HealthyTime(instance);
    return healthy.has_value() && *healthy <= context_.now &&
           (instance.serving || !NeedsFences(instance));
  }

  bool NeedsFences(const Instance& instance) const {
    return state_.WaitsForEdges() && IsRouted(environment_, instance.assignment.process_type());
  }

  bool IsOnLostHost(const Instance& instance) const {
    const auto host = state_.hosts().find(instance.host);
    return host == state_.hosts().end() || host->second.presence == v1::HOST_PRESENCE_LOST;
  }

  uint32_t Wanted(const std::string& type) const {
    const auto replicas = release_.replicas().find(type);
    return replicas == release_.replicas().end() ? 0 : replicas->second;
  }

  std::set<std::string> ProcessTypes() const {
    std::set<std::string> types;
    for (const auto& [type, replicas] : release_.replicas()) types.insert(type);
    for (const auto& [id, instance] : environment_.instances) {
      types.insert(instance.assignment.process_type());
    }
    return types;
  }

  Replicas ReplicasOf(const std::string& type) const {
    Replicas replicas;
    for (const auto& entry : environment_.instances) {
      const Instance& instance = entry.second;
      if (instance.assignment.process_type() != type || instance.draining ||
          instance.assignment.intent() != v1::INTENT_RUN || IsOnLostHost(instance)) {
        continue;
      }
      const bool current = IsCurrent(instance) && Wanted(type) > 0;
      (current ? replicas.current : replicas.old).push_back(&entry);
      if (IsHealthy(instance)) ++(current ? replicas.healthy_current : replicas.healthy_old);
    }
    auto gives_up_first = [this](const auto* left, const auto* right) {
      const bool left_healthy = IsHealthy(left->second);
      const bool right_healthy = IsHealthy(right->second);
      if (left_healthy != right_healthy) return right_healthy;
      return left->second.assignment.release() > right->second.assignment.release();
    };
    std::stable_sort(replicas.current.begin(), replicas.current.end(), gives_up_first);
    std::stable_sort(replicas.old.begin(), replicas.old.end(), gives_up_first);
    return replicas;
  }

  void StartRollout(v1::RolloutCause cause) {
    absl::Duration deadline = absl::ZeroDuration();
    for (const auto& [type, process] : release_.manifest().processes()) {
      if (process.update().has_deadline()) {
        deadline = std::max(deadline, FromProtoDuration(process.update().deadline()));
      }
    }
    if (deadline == absl::ZeroDuration()) deadline = kRolloutDeadline;
    v1::RolloutStarted* started = events_.emplace_back().mutable_rollout_started();
    *started->mutable_environment() = name_;
    started->set_promotion(environment_.wanted.promotion());
    started->set_release(release_.number());
    *started->mutable_start_time() = ToTimestamp(context_.now);
    *started->mutable_deadline() = ToTimestamp(context_.now + deadline);
    started->set_cause(cause);
    for (const auto& [name, version] : NamedSecrets()) {
      (*started->mutable_secret_versions())[name] = version;
    }
  }

  void MoveFromLostHosts() {
    for (const auto& [id, instance] : environment_.instances) {
      if (!state_.hosts().contains(instance.host)) {
        v1::InstanceRemoved* removed = events_.emplace_back().mutable_instance_removed();
        Name(instance, id, removed);
      } else if (IsOnLostHost(instance) && instance.assignment.intent() == v1::INTENT_RUN) {
        // Its replacement is placed elsewhere; should the host return, it finds this word.
        Stop(id, instance);
      }
    }
  }

  void StopDrained() {
    for (const auto& [id, instance] : environment_.instances) {
      if (!instance.draining || instance.assignment.intent() != v1::INTENT_RUN ||
          IsOnLostHost(instance)) {
        continue;
      }
      // A drained instance is idle by every edge's word, never to be reached, or out of time.
      if (instance.idle || !state_.WaitsForEdges() || !MayHaveConnections(instance) ||
          context_.now >= instance.drain_deadline) {
        Stop(id, instance);
      }
    }
  }

  // Whether the running rollout fails now.
  bool FailRollout() {
    if (environment_.routes_promotion == environment_.rollout.promotion &&
        !environment_.routes_refused.empty()) {
      const auto& [route, why] = *environment_.routes_refused.begin();
      Fail(absl::StrCat("route ", route, " was refused: ", why), {}, RouteRefused(environment_));
      return true;
    }
    for (const auto& [id, instance] : environment_.instances) {
      if (instance.assignment.intent() != v1::INTENT_RUN ||
          instance.observed.phase() != v1::PHASE_FAILED || !IsOfRollout(instance)) {
        continue;
      }
      Fail(absl::StrCat("instance ", id, " failed: ", instance.observed.reason()),
           instance.observed, InstanceFailed(id, instance));
      return true;
    }
    if (context_.now < environment_.rollout.deadline || IsConverged()) return false;
    std::string missing;
    const v1::InstanceReport* seen = nullptr;
    for (const auto& [type, reason] : environment_.unplaced) {
      absl::StrAppend(&missing, "; ", type, " could not be placed: ", reason);
    }
    for (const auto& [id, instance] : environment_.instances) {
      if (!IsCurrent(instance) || IsHealthy(instance)) continue;
      seen = &instance.observed;
      absl::StrAppend(&missing, "; instance ", id, " did not become ready",
                      instance.observed.reason().empty() ? "" : ": ", instance.observed.reason());
      if (instance.observed.phase() == v1::PHASE_READY && !instance.serving) {
        absl::StrAppend(&missing, ": it is ready, but not every edge has acknowledged it");
      }
    }
    Fail(absl::StrCat("the deadline passed", missing),
         seen == nullptr ? v1::InstanceReport() : *seen,
         FirstFalse(state_, environment_, context_.now));
    return true;
  }

  void Fail(const std::string& reason, const v1::InstanceReport& instance,
            const v1::Predicate& cause) {
    v1::RolloutFailed* failed = events_.emplace_back().mutable_rollout_failed();
    *failed->mutable_environment() = name_;
    failed->set_promotion(environment_.rollout.promotion);
    failed->set_reason(reason);
    *failed->mutable_failed_instance() = instance;
    *failed->mutable_cause() = cause;
    *failed->mutable_cause()->mutable_record() = OwnRecord();
    over_ = true;
  }

  void RestartFailed() {
    for (const auto& [id, instance] : environment_.instances) {
      if (!MayRestart(instance) || IsOnLostHost(instance) || context_.now < RestartTime(instance)) {
        continue;
      }
      // A new replica's failure fails its rollout; it is not papered over.
      if (environment_.rollout.phase != v1::ROLLOUT_PHASE_SUCCEEDED &&
          !environment_.rollout.IsReturning() && IsOfRollout(instance)) {
        continue;
      }
      v1::AttemptStarted* started = events_.emplace_back().mutable_attempt_started();
      Name(instance, id, started);
      started->set_attempt(instance.assignment.attempt() + 1);
    }
  }

  void ReconcileProcess(const std::string& type) {
    const Replicas replicas = ReplicasOf(type);
    const size_t wanted = Wanted(type);
    const auto process = release_.manifest().processes().find(type);
    size_t surge = kSurgeDefault;
    size_t unavailable_max = 0;
    if (process != release_.manifest().processes().end()) {
      unavailable_max = process->second.update().max_unavailable();
      surge = process->second.update().max_surge();
      if (surge == 0 && unavailable_max == 0) surge = kSurgeDefault;
    }

    const size_t serving_min = wanted > unavailable_max ? wanted - unavailable_max : 0;
    size_t healthy = replicas.healthy_current + replicas.healthy_old;
    Retiring retiring = Retiring::kNever;
    if (replicas.healthy_old < replicas.old.size() ||
        (!replicas.old.empty() && healthy > serving_min)) {
      retiring = Retiring::kNow;
    } else if (!replicas.old.empty() && replicas.healthy_current < replicas.current.size()) {
      retiring = Retiring::kLater;
    }
    bool makes_room = false;
    const size_t active = replicas.current.size() + replicas.old.size();
    if (replicas.current.size() < wanted) {
      const size_t room = wanted + surge > active ? wanted + surge - active : 0;
      const size_t missing = wanted - replicas.current.size();
      // With nothing old to keep, there is nothing to be careful about.
      const size_t place = replicas.old.empty() ? missing : std::min(room, missing);
      // Retiring waits for a placement, unless it has to make the room for it: on a host, or in the
      // surge, which replicas of a release that never became ready may have taken whole.
      if (place > 0 && Place(type, process->second, retiring)) return;
      makes_room = true;
    }
    for (const auto* old : replicas.old) {
      if (!IsHealthy(old->second)) {
        // Gives no service; with surge or not, nothing is lost by ending it once its successor is
        // on its way, or waits for its room.
        if (replicas.current.size() >= wanted || replicas.healthy_current > 0 || makes_room) {
          Drain(old->first, old->second);
        }
      } else if (healthy > serving_min) {
        Drain(old->first, old->second);
        --healthy;
      }
    }
    if (replicas.old.empty() && replicas.current.size() > wanted) {
      for (size_t i = 0; i < replicas.current.size() - wanted; ++i) {
        Drain(replicas.current[i]->first, replicas.current[i]->second);
      }
    }
  }

  bool IsConverged() const {
    if (release_.manifest().routes_size() > 0 &&
        environment_.routes_promotion < environment_.rollout.promotion) {
      return false;  // The edge-router has not said yet what came of the routes.
    }
    for (const std::string& type : ProcessTypes()) {
      const Replicas replicas = ReplicasOf(type);
      if (!replicas.old.empty() || replicas.healthy_current != Wanted(type)) return false;
    }
    for (const auto& [id, instance] : environment_.instances) {
      // What is stopping on a host that is there belongs to the rollout still, but a release that
      // serves is not taken back because an old instance takes its time.
      if (instance.assignment.intent() == v1::INTENT_STOP && !IsOnLostHost(instance) &&
          context_.now < environment_.rollout.deadline) {
        return false;
      }
    }
    return true;
  }

  // Gives one more replica a host, or says why none can take it. False: nothing is said because
  // retiring an old replica may make room first.
  bool Place(const std::string& type, const Process& process, Retiring retiring) {
    if (process.has_secrets()) {
      const std::string missing = MissingSecrets(process);
      // Whoever sets them makes this go on; what runs meanwhile makes no room.
      if (!missing.empty()) Refuse(type, missing);
      if (!missing.empty() || grant_key_ == nullptr) return true;
    }
    const Demand demand{name_.org(), &process, release_.image(), release_.image_is_local()};
    Demand besides_image = demand;
    besides_image.image_is_local = false;
    std::optional<Score> best;
    std::string reasons;
    bool may_change = state_.hosts().empty();
    bool may_report_image = false;
    for (const auto& [name, host] : state_.hosts()) {
      if (const std::optional<std::string> why = WhyInfeasible(name, host, demand)) {
        absl::StrAppend(&reasons, reasons.empty() ? "" : "; ", *why);
        may_change = may_change || host.presence == v1::HOST_PRESENCE_UNSPECIFIED ||
                     host.presence == v1::HOST_PRESENCE_STALE;
        may_report_image =
            may_report_image || !WhyInfeasible(name, host, besides_image).has_value();
        continue;
      }
      Score score = ScoreHost(name, host, environment_, type);
      if (!best.has_value() || score < *best) best = std::move(score);
    }
    if (!best.has_value()) {
      if (retiring == Retiring::kNow) return false;
      if (state_.hosts().empty()) reasons = "there is no host yet; see: berth host add";
      const std::string reason = absl::StrCat("no host can take it: ", reasons);
      Refuse(type, reason);
      // A host that lacks nothing else reports a fresh local image by and by.
      may_change = may_change || (may_report_image &&
                                  context_.now < environment_.rollout.start_time + kImageReportMax);
      // Waiting helps only where a host may still say something else, or room is being freed.
      may_change = may_change || retiring == Retiring::kLater || IsRoomBeingFreed();
      if (!may_change && environment_.rollout.phase == v1::ROLLOUT_PHASE_RUNNING) {
        Fail(absl::StrCat("process ", type, " could not be placed: ", reason), {},
             NoRoom(state_, environment_, type));
      }
      return true;
    }
    const std::string& host_name = std::get<std::string>(*best);
    const Host& host = state_.hosts().at(host_name);
    const uint64_t number = std::max(host.addresses_given + 1, State::kFirstAddress);
    v1::InstancePlaced* placed = events_.emplace_back().mutable_instance_placed();
    placed->set_host(host_name);
    placed->set_address_number(number);
    *placed->mutable_record() = OwnRecord();
    v1::Assignment* assignment = placed->mutable_assignment();
    assignment->set_instance(absl::StrCat(type, "-", context_.ids->NewId()));
    *assignment->mutable_environment() = name_;
    assignment->set_process_type(type);
    assignment->set_release(release_.number());
    assignment->set_attempt(1);
    assignment->set_intent(v1::INTENT_RUN);
    assignment->set_image(release_.image());
    assignment->set_image_is_local(release_.image_is_local());
    assignment->set_image_pull(release_.manifest().image().pull());
    *assignment->mutable_process() = process;
    assignment->set_content_digest(content_);
    if (process.has_secrets()) GrantSecrets(host_name, assignment);
    if (const auto restart = environment_.restarts.find(type);
        restart != environment_.restarts.end()) {
      assignment->set_restart(restart->second);
    }
    std::string address = host.machine.prefix();
    for (int shift = 56; shift >= 0; shift -= 8) {
      address += static_cast<char>(number >> shift & 0xff);
    }
    assignment->set_address(address);
    // The next placement must see what this one took.
    over_ = true;
    return true;
  }

  // Why the process type cannot be given its secrets; empty: it can.
  std::string MissingSecrets(const Process& process) const {
    std::string missing;
    for (const std::string& name : process.secrets().names()) {
      if (active_secrets_.contains(name) && environment_.secret_versions.contains(name)) continue;
      absl::StrAppend(&missing, missing.empty() ? "" : "; ", "secret ", name, " is not set in ",
                      ToString(name_), "; run: berth secret set ", name);
    }
    return missing;
  }

  void GrantSecrets(const std::string& host, v1::Assignment* assignment) const {
    secrets::v1::SecretGrant grant;
    grant.set_host(host);
    *grant.mutable_environment() = name_;
    for (const std::string& name : assignment->process().secrets().names()) {
      (*grant.mutable_versions())[name] = environment_.secret_versions.at(name);
    }
    *assignment->mutable_secret_versions() = grant.versions();
    *assignment->mutable_secret_grant() = SignGrant(grant, *grant_key_);
  }

  // Says once why no replica of the process type is placed.
  void Refuse(const std::string& type, const std::string& reason) {
    const auto known = environment_.unplaced.find(type);
    if (known != environment_.unplaced.end() && known->second == reason) return;
    v1::PlacementRefused* refused = events_.emplace_back().mutable_placement_refused();
    *refused->mutable_environment() = name_;
    refused->set_process_type(type);
    refused->set_reason(reason);
  }

  // The record that this round's events are in.
  types::v1::RecordReference OwnRecord() const {
    types::v1::RecordReference record;
    record.set_stream(State::kStream);
    record.set_position(context_.position);
    *record.mutable_time() = ToTimestamp(context_.now);
    return record;
  }

  bool IsRoomBeingFreed() const {
    return std::any_of(
        environment_.instances.begin(), environment_.instances.end(), [this](const auto& entry) {
          return !IsOnLostHost(entry.second) &&
                 (entry.second.draining || entry.second.assignment.intent() == v1::INTENT_STOP);
        });
  }

  void Drain(const std::string& id, const Instance& instance) {
    v1::InstanceDraining* draining = events_.emplace_back().mutable_instance_draining();
    Name(instance, id, draining);
    draining->set_position(context_.position);
    *draining->mutable_deadline() = ToTimestamp(context_.now + kDrainDeadline);
  }

  void Stop(const std::string& id, const Instance& instance) {
    Name(instance, id, events_.emplace_back().mutable_instance_stopping());
  }

  template <typename InstanceEvent>
  static void Name(const Instance& instance, const std::string& id, InstanceEvent* event) {
    event->set_host(instance.host);
    *event->mutable_environment() = instance.assignment.environment();
    event->set_instance(id);
  }

  const State& state_;
  const Environment& environment_;
  const SigningKey* const grant_key_;
  const EnvironmentName& name_;
  const Release& release_;
  const std::string content_;
  const SecretVersions& active_secrets_;
  const DecisionContext& context_;
  std::vector<v1::Event> events_;
  bool over_ = false;  // What is left to do builds on this round's events.
};

}  // namespace

bool IsCurrent(const Environment& environment, const Instance& instance) {
  const auto restart = environment.restarts.find(instance.assignment.process_type());
  return instance.assignment.content_digest() == ContentDigest(environment.wanted.desired()) &&
         HasSecrets(environment, instance.assignment) &&
         (restart == environment.restarts.end() ||
          instance.assignment.restart() >= restart->second);
}

std::optional<absl::Time> HealthyTime(const Instance& instance) {
  if (!instance.ready_since.has_value() || instance.observed.phase() != v1::PHASE_READY) {
    return std::nullopt;
  }
  return *instance.ready_since +
         FromProtoDuration(instance.assignment.process().update().min_healthy());
}

std::vector<v1::Event> Reconcile(const State& state, const std::string& environment,
                                 const SigningKey* grant_key, const DecisionContext& context) {
  const auto found = state.environments().find(environment);
  if (found == state.environments().end()) return {};
  return Round(state, found->second, grant_key, context).Run();
}

absl::Time NextWake(const Environment& environment, absl::Time reconciled) {
  absl::Time wake = absl::InfiniteFuture();
  // What was due by then has been seen to; waiting for it would be waking for ever.
  auto consider = [&](absl::Time time) {
    if (time > reconciled) wake = std::min(wake, time);
  };
  const Rollout& rollout = environment.rollout;
  const bool running = rollout.phase == v1::ROLLOUT_PHASE_RUNNING;
  if (running) {
    consider(rollout.deadline);
    if (!environment.unplaced.empty() && environment.wanted.desired().image_is_local()) {
      consider(rollout.start_time + kImageReportMax);
    }
  }
  for (const auto& [id, instance] : environment.instances) {
    if (MayRestart(instance)) consider(RestartTime(instance));
    if (instance.draining && instance.assignment.intent() == v1::INTENT_RUN) {
      consider(instance.drain_deadline);
    }
    // Also beside a rollout: a restart waits for it.
    if (const auto healthy = HealthyTime(instance)) consider(*healthy);
  }
  return wake;
}

}  // namespace berth::scheduler
