#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/crypto/sealed_box.h"
#include "integration/simulation/client.h"
#include "integration/simulation/history.h"
#include "integration/simulation/secret_values.h"
#include "services/secrets/state.h"

namespace berth::simulation {

// The names of secrets that are put, and never deleted: manifests name them.
inline constexpr uint64_t kSecrets = 2;
std::string SecretName(uint64_t number);

// Somebody who puts secrets, reads, activates and deletes them; a client's requests and answers.
class SecretsUser {
 public:
  explicit SecretsUser(World* world) : world_(world), reader_(SealingKey::Generate()) {}

  std::optional<Asked> Next(Random* random);
  // What the client is told. A key that values are sealed to is for ever.
  void Answered(const Asked& asked, const absl::StatusOr<std::string>& answer);
  // The answer as it is recorded: values, which it looks at, are not.
  std::string Recorded(const Asked& asked, const std::string& answer);

  // What can be asked of a service that has answered nothing yet: that a version be active, and
  // which secrets an environment has.
  static Asked AskToActivate(Random* random);
  static Asked AskSecrets(Random* random);

  // What a state answers to one of the questions.
  absl::StatusOr<std::string> AnswerOfSecrets(const secrets::State& state,
                                              const Operation& question) const;

  SecretValues* values() { return &values_; }

 private:
  Asked Put(Random* random);
  Asked Read(Random* random);

  World* const world_;
  const SealingKey reader_;
  std::string sealing_key_;  // The service's; empty until it said it.
  SecretValues values_;
};

}  // namespace berth::simulation
