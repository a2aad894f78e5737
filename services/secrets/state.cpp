#include "services/secrets/state.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/crypto/hash.h"
#include "common/ids/names.h"
#include "common/secrets/bundle.h"
#include "common/status/status_macros.h"
#include "common/time/timestamp.h"

namespace berth::secrets {
namespace {

using types::v1::EnvironmentName;

absl::Status CheckSecretName(const EnvironmentName& environment, const std::string& name) {
  BERTH_RETURN_IF_ERROR(CheckName("org", environment.org()));
  BERTH_RETURN_IF_ERROR(CheckName("app", environment.app()));
  BERTH_RETURN_IF_ERROR(CheckName("environment", environment.env()));
  return CheckName("secret", name);
}

absl::Status NoSuchSecret(const EnvironmentName& environment, const std::string& name) {
  return absl::NotFoundError(
      absl::StrCat(ToString(environment), " has no secret ", name, "; see: berth secret list"));
}

absl::Status NoSuchVersion(const EnvironmentName& environment, const std::string& name,
                           uint64_t version) {
  return absl::NotFoundError(absl::StrCat("secret ", SecretPath(environment, name),
                                          " has no version ", version,
                                          "; see: berth secret versions ", name));
}

std::string RowKey(absl::string_view path, uint64_t version) {
  return absl::StrCat("secret/", path, "/", version);
}

// Adds to what a decision leads to.
void Activate(const EnvironmentName& environment, const std::string& name, uint64_t version,
              std::vector<v1::Event>* events) {
  v1::SecretVersionActivated* activated = events->emplace_back().mutable_secret_version_activated();
  *activated->mutable_environment() = environment;
  activated->set_name(name);
  activated->set_version(version);
}

StoredVersion ToStored(const v1::SecretVersionPut& put) {
  const std::string path = SecretPath(put.environment(), put.name());
  return {path, RowKey(path, put.version()), put.uid(), put.ciphertext_digest()};
}

}  // namespace

std::string SecretPath(const EnvironmentName& environment, const std::string& name) {
  return absl::StrCat(ToString(environment), "/", name);
}

Decided<v1::Event, v1::PutSecretResponse> State::Decide(const v1::PutSecretRequest& request,
                                                        const SealedValue& value,
                                                        const DecisionContext& context) const {
  const std::string& name = request.name();
  BERTH_RETURN_IF_ERROR(CheckSecretName(request.environment(), name));
  if (request.activation() != v1::ACTIVATION_NOW && request.activation() != v1::ACTIVATION_LATER) {
    return absl::InvalidArgumentError("a put says whether the new version becomes active");
  }
  const Secret* secret = FindSecret(request.environment(), name);
  Decision<Event, v1::PutSecretResponse> decision;
  if (secret != nullptr && secret->active != 0) {
    const auto& [number, newest] = *secret->versions.rbegin();
    if (newest.value_digest() == value.value_digest) {
      decision.response.set_version(number);
      decision.response.set_unchanged(true);
      decision.response.set_active_version(secret->active);
      if (request.activation() == v1::ACTIVATION_NOW && secret->active != number) {
        decision.response.set_active_version(number);
        Activate(request.environment(), name, number, &decision.events);
      }
      return decision;
    }
    if (secret->versions.size() >= kVersionsMax) {
      return absl::ResourceExhaustedError(
          absl::StrCat("secret ", SecretPath(request.environment(), name), " has ", kVersionsMax,
                       " versions, which is the limit; delete old ones: berth secret delete ", name,
                       " --version N"));
    }
  } else {
    const auto environment = environments_.find(ToString(request.environment()));
    if (environment != environments_.end() && environment->second.active >= kSecretsMax) {
      return absl::ResourceExhaustedError(
          absl::StrCat(ToString(request.environment()), " has ", kSecretsMax,
                       " secrets, which is the limit; delete some that nothing uses: berth secret "
                       "delete NAME"));
    }
  }
  v1::SecretVersionPut* put = decision.events.emplace_back().mutable_secret_version_put();
  *put->mutable_environment() = request.environment();
  put->set_name(name);
  put->set_version(secret == nullptr ? 1 : secret->newest + 1);
  put->set_uid(value.uid);
  put->set_size_bytes(value.size_bytes);
  put->set_ciphertext_digest(value.ciphertext_digest);
  put->set_value_digest(value.value_digest);
  *put->mutable_create_time() = ToTimestamp(context.now);
  put->set_created_by(context.principal);
  const uint64_t version = put->version();
  decision.response.set_version(version);
  decision.rows.push_back({RowKey(SecretPath(request.environment(), name), version), value.row});
  const uint64_t active_before = secret == nullptr ? 0 : secret->active;
  if (request.activation() == v1::ACTIVATION_NOW || active_before == 0) {
    decision.response.set_active_version(version);
    Activate(request.environment(), name, version, &decision.events);
  } else {
    decision.response.set_active_version(active_before);
  }
  return decision;
}

Decided<v1::Event, v1::GetSecretResponse> State::Decide(const v1::GetSecretRequest& request,
                                                        const DecisionContext&) const {
  BERTH_ASSIGN_OR_RETURN(const v1::SecretVersionPut* put,
                         Find(request.environment(), request.name(), request.version()));
  Decision<Event, v1::GetSecretResponse> decision;
  decision.response.set_version(put->version());
  *decision.response.mutable_environment() = put->environment();
  decision.response.set_name(put->name());
  return decision;
}

Decided<v1::Event, v1::GetBundleResponse> State::Decide(const v1::SecretGrant& grant,
                                                        const DecisionContext&) const {
  uint64_t size = 0;
  for (const auto& [name, version] : grant.versions()) {
    BERTH_ASSIGN_OR_RETURN(const v1::SecretVersionPut* put,
                           Find(grant.environment(), name, version));
    size += put->size_bytes();
  }
  if (size > kBundleValuesMax) {
    return absl::ResourceExhaustedError(absl::StrCat("the secrets of an instance have at most ",
                                                     kBundleValuesMax,
                                                     " bytes together; these have ", size));
  }
  v1::BundleContent content;
  *content.mutable_grant() = grant;
  Decision<Event, v1::GetBundleResponse> decision;
  decision.response.set_content(content.SerializeAsString());
  return decision;
}

Decided<v1::Event, v1::ActivateSecretResponse> State::Decide(
    const v1::ActivateSecretRequest& request, const DecisionContext&) const {
  const Secret* secret = FindSecret(request.environment(), request.name());
  if (secret == nullptr || secret->active == 0) {
    return NoSuchSecret(request.environment(), request.name());
  }
  if (secret->versions.count(request.version()) == 0) {
    return NoSuchVersion(request.environment(), request.name(), request.version());
  }
  Decision<Event, v1::ActivateSecretResponse> decision;
  if (secret->active == request.version()) {
    decision.response.set_unchanged(true);
  } else {
    Activate(request.environment(), request.name(), request.version(), &decision.events);
  }
  return decision;
}

Decided<v1::Event, v1::DeleteSecretResponse> State::Decide(const v1::DeleteSecretRequest& request,
                                                           const DecisionContext&) const {
  const Secret* secret = FindSecret(request.environment(), request.name());
  const std::string path = SecretPath(request.environment(), request.name());
  Decision<Event, v1::DeleteSecretResponse> decision;
  if (secret == nullptr || secret->active == 0 ||
      (request.version() != 0 && secret->versions.count(request.version()) == 0)) {
    decision.response.set_unchanged(true);
    return decision;
  }
  if (request.version() == 0) {
    v1::SecretDeleted* deleted = decision.events.emplace_back().mutable_secret_deleted();
    *deleted->mutable_environment() = request.environment();
    deleted->set_name(request.name());
    for (const auto& [version, put] : secret->versions) {
      decision.rows.push_back({RowKey(path, version), std::nullopt});
    }
    return decision;
  }
  if (secret->active == request.version()) {
    return absl::FailedPreconditionError(
        absl::StrCat("version ", request.version(), " of secret ", path,
                     " is the active one; activate another one first, or delete the secret"));
  }
  v1::SecretVersionDeleted* deleted =
      decision.events.emplace_back().mutable_secret_version_deleted();
  *deleted->mutable_environment() = request.environment();
  deleted->set_name(request.name());
  deleted->set_version(request.version());
  decision.rows.push_back({RowKey(path, request.version()), std::nullopt});
  return decision;
}

void State::Apply(const Event& event) {
  switch (event.event_case()) {
    case Event::kSecretVersionPut: {
      const v1::SecretVersionPut& put = event.secret_version_put();
      Environment& environment = environments_[ToString(put.environment())];
      environment.name = put.environment();
      Secret& secret = environment.secrets[put.name()];
      secret.newest = put.version();
      secret.versions[put.version()] = put;
      return;
    }
    case Event::kSecretVersionActivated: {
      const v1::SecretVersionActivated& activated = event.secret_version_activated();
      Environment& environment = environments_[ToString(activated.environment())];
      Secret& secret = environment.secrets[activated.name()];
      if (secret.active == 0) ++environment.active;
      secret.active = activated.version();
      return;
    }
    case Event::kSecretVersionDeleted: {
      const v1::SecretVersionDeleted& deleted = event.secret_version_deleted();
      environments_[ToString(deleted.environment())].secrets[deleted.name()].versions.erase(
          deleted.version());
      return;
    }
    case Event::kSecretDeleted: {
      const v1::SecretDeleted& deleted = event.secret_deleted();
      Environment& environment = environments_[ToString(deleted.environment())];
      Secret& secret = environment.secrets[deleted.name()];
      if (secret.active != 0) --environment.active;
      secret.active = 0;
      secret.versions.clear();
      return;
    }
    case Event::EVENT_NOT_SET:
      break;
  }
  BERTH_CHECK_MESSAGE(false, "an event without content");
}

void State::Touched(const Event& event, std::set<TopicKey>* keys) const {
  switch (event.event_case()) {
    case Event::kSecretVersionActivated:
      keys->insert({kActiveSecretsTopic, ToString(event.secret_version_activated().environment())});
      return;
    case Event::kSecretDeleted:
      keys->insert({kActiveSecretsTopic, ToString(event.secret_deleted().environment())});
      return;
    case Event::kSecretVersionPut:
    case Event::kSecretVersionDeleted:
    case Event::EVENT_NOT_SET:
      return;
  }
}

std::optional<std::string> State::View(const TopicKey& key) const {
  const auto found = environments_.find(key.second);
  if (key.first != kActiveSecretsTopic || found == environments_.end() ||
      found->second.active == 0) {
    return std::nullopt;
  }
  return ActiveOf(found->second).SerializeAsString();
}

TopicEntries State::Entries(const std::string& topic) const {
  TopicEntries entries;
  if (topic != kActiveSecretsTopic) return entries;
  for (const auto& [key, environment] : environments_) {
    if (environment.active == 0) continue;
    entries.emplace_back(key, ActiveOf(environment).SerializeAsString());
  }
  return entries;
}

std::vector<v1::Secret> State::SecretsOf(const EnvironmentName& name) const {
  std::vector<v1::Secret> secrets;
  const auto environment = environments_.find(ToString(name));
  if (environment == environments_.end()) return secrets;
  for (const auto& [secret_name, secret] : environment->second.secrets) {
    if (secret.active == 0) continue;
    const v1::SecretVersionPut& active = secret.versions.at(secret.active);
    v1::Secret& proto = secrets.emplace_back();
    proto.set_name(secret_name);
    proto.set_active_version(secret.active);
    proto.set_newest_version(secret.versions.rbegin()->first);
    proto.set_versions(static_cast<uint32_t>(secret.versions.size()));
    *proto.mutable_update_time() = active.create_time();
    proto.set_updated_by(active.created_by());
  }
  return secrets;
}

absl::StatusOr<std::vector<v1::SecretVersion>> State::VersionsOf(const EnvironmentName& environment,
                                                                 const std::string& name) const {
  const Secret* secret = FindSecret(environment, name);
  if (secret == nullptr || secret->active == 0) return NoSuchSecret(environment, name);
  std::vector<v1::SecretVersion> versions;
  for (auto version = secret->versions.rbegin(); version != secret->versions.rend(); ++version) {
    const v1::SecretVersionPut& put = version->second;
    v1::SecretVersion& proto = versions.emplace_back();
    proto.set_version(put.version());
    proto.set_active(put.version() == secret->active);
    proto.set_size_bytes(put.size_bytes());
    *proto.mutable_create_time() = put.create_time();
    proto.set_created_by(put.created_by());
  }
  return versions;
}

absl::StatusOr<StoredVersion> State::FindVersion(const EnvironmentName& environment,
                                                 const std::string& name, uint64_t version) const {
  BERTH_ASSIGN_OR_RETURN(const v1::SecretVersionPut* put, Find(environment, name, version));
  return ToStored(*put);
}

absl::Status State::CheckRows(const RowsByKey& rows) const {
  for (const StoredVersion& version : AllVersions()) {
    const auto row = rows.find(version.row_key);
    if (row == rows.end()) {
      return absl::DataLossError(
          absl::StrCat("the row ", version.row_key, " is missing; restore a backup"));
    }
    v1::SecretRow stored;
    if (!stored.ParseFromString(row->second) ||
        Blake2b256({stored.ciphertext()}) != version.ciphertext_digest) {
      return absl::DataLossError(absl::StrCat("the row ", version.row_key,
                                              " is not the one that was written; restore a "
                                              "backup"));
    }
  }
  return absl::OkStatus();
}

std::vector<StoredVersion> State::AllVersions() const {
  std::vector<StoredVersion> all;
  for (const auto& [key, environment] : environments_) {
    for (const auto& [name, secret] : environment.secrets) {
      for (const auto& [version, put] : secret.versions) all.push_back(ToStored(put));
    }
  }
  return all;
}

const State::Secret* State::FindSecret(const EnvironmentName& environment,
                                       const std::string& name) const {
  const auto found = environments_.find(ToString(environment));
  if (found == environments_.end()) return nullptr;
  const auto secret = found->second.secrets.find(name);
  return secret == found->second.secrets.end() ? nullptr : &secret->second;
}

absl::StatusOr<const v1::SecretVersionPut*> State::Find(const EnvironmentName& environment,
                                                        const std::string& name,
                                                        uint64_t version) const {
  const Secret* secret = FindSecret(environment, name);
  if (secret == nullptr || secret->active == 0) return NoSuchSecret(environment, name);
  const auto found = secret->versions.find(version == 0 ? secret->active : version);
  if (found == secret->versions.end()) return NoSuchVersion(environment, name, version);
  return &found->second;
}

v1::ActiveSecrets State::ActiveOf(const Environment& environment) {
  v1::ActiveSecrets active;
  *active.mutable_environment() = environment.name;
  for (const auto& [name, secret] : environment.secrets) {
    if (secret.active != 0) (*active.mutable_versions())[name] = secret.active;
  }
  return active;
}

}  // namespace berth::secrets
