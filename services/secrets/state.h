#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "berth/secrets/v1/events.pb.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "berth/secrets/v1/snapshot.pb.h"
#include "common/eventlog/event_sourced.h"

namespace berth::secrets {

// A value that came with a put, encrypted already: what a decision may know of it.
struct SealedValue {
  std::string uid;
  uint64_t size_bytes = 0;
  std::string row;  // A v1::SecretRow.
  std::string ciphertext_digest;
  std::string value_digest;
};

// Where the value of a version is, and what its row is checked against.
struct StoredVersion {
  std::string path;     // ORG/APP/ENV/NAME.
  std::string row_key;  // In the log's rows.
  std::string uid;
  std::string ciphertext_digest;
};

// ORG/APP/ENV/NAME.
std::string SecretPath(const types::v1::EnvironmentName& environment, const std::string& name);

// Which secrets there are and which of their versions is active, as the events so far make them;
// the values are rows of the log, which the state never sees in plain. Pure: see
// common/eventlog/event_sourced.h.
class State {
 public:
  using Event = v1::Event;
  using Snapshot = v1::StateSnapshot;

  // Raised where Apply makes another state of old events than the version before did.
  static constexpr uint32_t kStateVersion = 1;

  static constexpr char kStream[] = "secrets";
  static constexpr char kActiveSecretsTopic[] = "active-secrets";
  static constexpr size_t kValueSizeMax = size_t{64} << 10;
  static constexpr size_t kSecretsMax = 1000;   // Of an environment.
  static constexpr size_t kVersionsMax = 1000;  // Of a secret, deleted ones apart.

  // `value` is the request's, encrypted.
  Decided<Event, v1::PutSecretResponse> Decide(const v1::PutSecretRequest& request,
                                               const SealedValue& value,
                                               const DecisionContext& context) const;
  // These two change nothing: they say what may be read, for the record. The answer has no values.
  Decided<Event, v1::GetSecretResponse> Decide(const v1::GetSecretRequest& request,
                                               const DecisionContext& context) const;
  // `grant` was signed by the scheduler and is the caller's.
  Decided<Event, v1::GetBundleResponse> Decide(const v1::SecretGrant& grant,
                                               const DecisionContext& context) const;
  Decided<Event, v1::ActivateSecretResponse> Decide(const v1::ActivateSecretRequest& request,
                                                    const DecisionContext& context) const;
  Decided<Event, v1::DeleteSecretResponse> Decide(const v1::DeleteSecretRequest& request,
                                                  const DecisionContext& context) const;

  void Apply(const Event& event);

  void Touched(const Event& event, std::set<TopicKey>* keys) const;
  std::optional<std::string> View(const TopicKey& key) const;
  TopicEntries Entries(const std::string& topic) const;

  // The whole state, and back (state_snapshot.cpp).
  Snapshot Save() const;
  void Load(const Snapshot& saved);

  // Whether each version's value is there as it was put. kDataLoss.
  absl::Status CheckRows(const RowsByKey& rows) const;

  // An environment that has none, or that nobody has heard of, has no secrets.
  std::vector<v1::Secret> SecretsOf(const types::v1::EnvironmentName& name) const;
  // Newest first.
  absl::StatusOr<std::vector<v1::SecretVersion>> VersionsOf(
      const types::v1::EnvironmentName& environment, const std::string& name) const;
  absl::StatusOr<StoredVersion> FindVersion(const types::v1::EnvironmentName& environment,
                                            const std::string& name, uint64_t version) const;
  // Every version that was not deleted.
  std::vector<StoredVersion> AllVersions() const;

  // Whether a secret was ever put.
  bool empty() const { return environments_.empty(); }

 private:
  struct Secret {
    uint64_t newest = 0;  // The highest number ever given, also to a version that was deleted.
    uint64_t active = 0;  // 0: the secret was deleted, and is kept for `newest` only.
    std::map<uint64_t, v1::SecretVersionPut> versions;
  };
  struct Environment {
    types::v1::EnvironmentName name;
    std::map<std::string, Secret> secrets;
    size_t active = 0;  // Secrets that were not deleted.
  };

  const Secret* FindSecret(const types::v1::EnvironmentName& environment,
                           const std::string& name) const;
  absl::StatusOr<const v1::SecretVersionPut*> Find(const types::v1::EnvironmentName& environment,
                                                   const std::string& name, uint64_t version) const;
  static v1::ActiveSecrets ActiveOf(const Environment& environment);

  std::map<std::string, Environment> environments_;  // By ORG/APP/ENV.
};

}  // namespace berth::secrets
