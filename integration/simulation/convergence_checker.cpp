#include "integration/simulation/convergence_checker.h"

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/ids/names.h"
#include "common/status/status_macros.h"
#include "integration/simulation/identities.h"
#include "services/scheduler/feasibility.h"
#include "services/scheduler/reconcile.h"

namespace berth::simulation {
namespace {

bool IsGivenUp(const scheduler::Instance& instance) {
  return instance.observed.phase() == scheduler::v1::PHASE_FAILED &&
         instance.failures_in_row >= scheduler::State::kFailuresMax;
}

// Whether the process asks for a secret that is not set, or was not when its rollout began.
bool LacksSecret(const scheduler::State& state, const scheduler::Environment& environment,
                 const config::v1::Process& process) {
  const scheduler::SecretVersions& active =
      state.ActiveSecrets(ToString(environment.wanted.name()));
  for (const std::string& name : process.secrets().names()) {
    if (!active.contains(name) || !environment.secret_versions.contains(name)) return true;
  }
  return false;
}

// Whether a host could take one more replica, which the scheduler says that none can.
absl::Status CheckNoRoom(const scheduler::State& state, const scheduler::Environment& environment,
                         const std::string& type, const std::string& what) {
  const config::v1::Release& release = environment.wanted.desired();
  const auto process = release.manifest().processes().find(type);
  if (process == release.manifest().processes().end() ||
      LacksSecret(state, environment, process->second)) {
    return absl::OkStatus();
  }
  const scheduler::Demand demand{environment.wanted.name().org(), &process->second, release.image(),
                                 release.image_is_local()};
  for (const auto& [name, host] : state.hosts()) {
    if (scheduler::WhyInfeasible(name, host, demand).has_value()) continue;
    return absl::InternalError(
        absl::StrCat(what, " lacks replicas, although ", name, " has room for one"));
  }
  return absl::OkStatus();
}

absl::Status CheckReplicas(const scheduler::State& state, const scheduler::Environment& environment,
                           const std::string& type, uint32_t wanted, const std::string& what) {
  size_t current = 0;
  size_t old = 0;
  bool given_up = false;
  for (const auto& [id, instance] : environment.instances) {
    if (instance.assignment.process_type() != type) continue;
    ++(scheduler::IsCurrent(environment, instance) && wanted > 0 ? current : old);
    // One that is started again and again and fails ends that, until a person restarts it.
    if (IsGivenUp(instance)) {
      given_up = true;
    } else if (instance.observed.phase() != scheduler::v1::PHASE_READY) {
      return absl::InternalError(absl::StrCat(what, ": ", id, " is neither ready nor given up: ",
                                              instance.observed.ShortDebugString()));
    }
  }
  if (current > wanted) {
    return absl::InternalError(absl::StrCat(what, " has ", current, " replicas of ", wanted));
  }
  // What serves is kept while its successor cannot run.
  const bool lacks_room = environment.unplaced.contains(type);
  if (given_up || (lacks_room && old > 0)) return absl::OkStatus();
  if (old > 0) {
    return absl::InternalError(absl::StrCat(what, " still has ", old, " replicas to be replaced"));
  }
  if (current == wanted) return absl::OkStatus();
  if (!lacks_room) {
    return absl::InternalError(
        absl::StrCat(what, " has ", current, " replicas of ", wanted, ", and nothing says why"));
  }
  return CheckNoRoom(state, environment, type, what);
}

absl::Status CheckEnvironment(const config::v1::Environment& wanted,
                              const scheduler::State& state) {
  const std::string key = ToString(wanted.name());
  const auto found = state.environments().find(key);
  if (found == state.environments().end()) {
    return absl::InternalError(absl::StrCat("the scheduler never heard of ", key));
  }
  const scheduler::Environment& environment = found->second;
  const scheduler::Rollout& rollout = environment.rollout;
  if (rollout.promotion != wanted.promotion()) {
    return absl::InternalError(absl::StrCat(key, ": promotion ", wanted.promotion(),
                                            " is wanted, and the newest rollout is of ",
                                            rollout.promotion));
  }
  if (rollout.phase == scheduler::v1::ROLLOUT_PHASE_RUNNING) {
    return absl::InternalError(
        absl::StrCat(key, ": the rollout of promotion ", rollout.promotion, " has not ended"));
  }
  if (!rollout.reported || wanted.rollout() == config::v1::ROLLOUT_STATE_RUNNING) {
    return absl::InternalError(absl::StrCat(
        key, ": the rollout of promotion ", rollout.promotion, " has ended, and ",
        rollout.reported ? "config does not know it" : "the scheduler has not told config"));
  }
  // Where none ever succeeded there is nothing to go back to: it stays as it failed.
  if (rollout.phase != scheduler::v1::ROLLOUT_PHASE_SUCCEEDED) return absl::OkStatus();
  std::set<std::string> types;
  for (const auto& [type, replicas] : wanted.desired().replicas()) types.insert(type);
  for (const auto& [id, instance] : environment.instances) {
    types.insert(instance.assignment.process_type());
  }
  for (const std::string& type : types) {
    const auto replicas = wanted.desired().replicas().find(type);
    BERTH_RETURN_IF_ERROR(
        CheckReplicas(state, environment, type,
                      replicas == wanted.desired().replicas().end() ? 0 : replicas->second,
                      absl::StrCat(key, "'s ", type)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckConverged(const config::State& wanted, const scheduler::State& placed) {
  std::set<std::string> known;
  for (const config::v1::Environment& environment : wanted.EnvironmentsOf(kOrg)) {
    known.insert(ToString(environment.name()));
    BERTH_RETURN_IF_ERROR(CheckEnvironment(environment, placed));
  }
  for (const auto& [key, environment] : placed.environments()) {
    if (known.contains(key) || environment.instances.empty()) continue;
    return absl::InternalError(
        absl::StrCat(key, " is deleted, and ", environment.instances.size(), " instances are not"));
  }
  return absl::OkStatus();
}

}  // namespace berth::simulation
