#include "services/secrets/state.h"

namespace berth::secrets {

// Every member is named where it is saved: one that is added stops the build there.

v1::StateSnapshot State::Save() const {
  v1::StateSnapshot saved;
  const auto& [environments] = *this;
  for (const auto& [key, environment] : environments) {
    const auto& [name, secrets, active_count] = environment;
    v1::SavedEnvironment& saved_environment = *saved.add_environments();
    saved_environment.set_key(key);
    *saved_environment.mutable_name() = name;
    for (const auto& [secret_name, secret] : secrets) {
      const auto& [newest, active, versions] = secret;
      v1::SavedSecret& saved_secret = *saved_environment.add_secrets();
      saved_secret.set_name(secret_name);
      saved_secret.set_newest(newest);
      saved_secret.set_active(active);
      for (const auto& [number, put] : versions) *saved_secret.add_versions() = put;
    }
  }
  return saved;
}

void State::Load(const v1::StateSnapshot& saved) {
  *this = State();
  for (const v1::SavedEnvironment& saved_environment : saved.environments()) {
    Environment& environment = environments_[saved_environment.key()];
    environment.name = saved_environment.name();
    for (const v1::SavedSecret& saved_secret : saved_environment.secrets()) {
      Secret& secret = environment.secrets[saved_secret.name()];
      secret.newest = saved_secret.newest();
      secret.active = saved_secret.active();
      if (secret.active != 0) ++environment.active;
      for (const v1::SecretVersionPut& put : saved_secret.versions()) {
        secret.versions[put.version()] = put;
      }
    }
  }
}

}  // namespace berth::secrets
