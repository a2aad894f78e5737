#include "services/config/state.h"

namespace berth::config {

// Every member is named where it is saved: one that is added stops the build there.

v1::StateSnapshot State::Save() const {
  v1::StateSnapshot saved;
  const auto& [environments] = *this;
  for (const auto& [key, environment] : environments) {
    const auto& [name, releases, desired, current, previous, promotion, rollout, rollout_reason,
                 promoted, deleted] = environment;
    v1::SavedEnvironment& saved_environment = *saved.add_environments();
    saved_environment.set_key(key);
    *saved_environment.mutable_name() = name;
    for (const auto& [number, release] : releases) *saved_environment.add_releases() = release;
    saved_environment.set_desired(desired);
    saved_environment.set_current(current);
    saved_environment.set_previous(previous);
    saved_environment.set_promotion(promotion);
    saved_environment.set_rollout(rollout);
    saved_environment.set_rollout_reason(rollout_reason);
    *saved_environment.mutable_promoted() = promoted;
    saved_environment.set_deleted(deleted);
  }
  return saved;
}

void State::Load(const v1::StateSnapshot& saved) {
  *this = State();
  for (const v1::SavedEnvironment& saved_environment : saved.environments()) {
    Environment& environment = environments_[saved_environment.key()];
    environment.name = saved_environment.name();
    for (const v1::Release& release : saved_environment.releases()) {
      environment.releases[release.number()] = release;
    }
    environment.desired = saved_environment.desired();
    environment.current = saved_environment.current();
    environment.previous = saved_environment.previous();
    environment.promotion = saved_environment.promotion();
    environment.rollout = saved_environment.rollout();
    environment.rollout_reason = saved_environment.rollout_reason();
    environment.promoted = saved_environment.promoted();
    environment.deleted = saved_environment.deleted();
  }
}

}  // namespace berth::config
