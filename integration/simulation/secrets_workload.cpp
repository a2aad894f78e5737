#include "integration/simulation/secrets_workload.h"

#include "absl/strings/str_cat.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "common/check/check.h"
#include "common/status/status_macros.h"
#include "integration/simulation/config_workload.h"

namespace berth::simulation {
namespace {

// One that is deleted now and then. A read of it could be recorded, and refused when it is repeated
// after that, so nobody reads it.
constexpr char kPassingSecret[] = "passing";
constexpr uint64_t kVersions = 4;

template <typename Request>
Request Naming(Random* random, bool passing) {
  Request request;
  *request.mutable_environment() = AnyEnvironment(random);
  request.set_name(passing ? kPassingSecret : SecretName(random->Below(kSecrets)));
  return request;
}

template <typename Request>
bool Asks(const std::string& method) {
  return method == rpc::MethodFor(*Request::descriptor()).full_name;
}

}  // namespace

std::string SecretName(uint64_t number) { return absl::StrCat("secret-", number); }

Asked SecretsUser::Put(Random* random) {
  auto request = Naming<secrets::v1::PutSecretRequest>(random, random->Chance(150));
  request.set_sealed_value(random->Chance(100) ? values_.SealAgain(sealing_key_)
                                               : values_.SealNext(sealing_key_));
  request.set_activation(random->Chance(800) ? secrets::v1::ACTIVATION_NOW
                                             : secrets::v1::ACTIVATION_LATER);
  return Command(request);
}

Asked SecretsUser::Read(Random* random) {
  auto request = Naming<secrets::v1::GetSecretRequest>(random, false);
  if (random->Chance(300)) request.set_version(random->Below(kVersions));
  request.set_reader_key(reader_.public_key());
  return Command(request);
}

Asked SecretsUser::AskToActivate(Random* random) {
  auto request = Naming<secrets::v1::ActivateSecretRequest>(random, false);
  request.set_version(1 + random->Below(kVersions));
  return Command(request);
}

Asked SecretsUser::AskSecrets(Random* random) {
  secrets::v1::ListSecretsRequest request;
  *request.mutable_environment() = AnyEnvironment(random);
  return Question(request);
}

std::optional<Asked> SecretsUser::Next(Random* random) {
  const uint64_t choice = random->Below(100);
  if (sealing_key_.empty() || choice < 5) return Question(secrets::v1::GetSealingKeyRequest());
  if (choice < 45) return Put(random);
  if (choice < 65) return Read(random);
  if (choice < 70) return AskToActivate(random);
  if (choice < 75) {
    auto request = Naming<secrets::v1::DeleteSecretRequest>(random, true);
    if (random->Chance(500)) request.set_version(1 + random->Below(kVersions));
    return Command(request);
  }
  if (choice < 85) {
    return Question(Naming<secrets::v1::ListSecretVersionsRequest>(random, random->Chance(200)));
  }
  return AskSecrets(random);
}

void SecretsUser::Answered(const Asked& asked, const absl::StatusOr<std::string>& answer) {
  if (!answer.ok() || !Asks<secrets::v1::GetSealingKeyRequest>(asked.method->full_name)) return;
  secrets::v1::GetSealingKeyResponse response;
  BERTH_CHECK(response.ParseFromString(*answer));
  if (sealing_key_.empty()) sealing_key_ = response.key();
  if (sealing_key_ != response.key()) world_->Fail("berth-secrets has another key than before");
}

std::string SecretsUser::Recorded(const Asked& asked, const std::string& answer) {
  if (!Asks<secrets::v1::GetSecretRequest>(asked.method->full_name)) return answer;
  secrets::v1::GetSecretResponse response;
  BERTH_CHECK(response.ParseFromString(answer));
  const absl::StatusOr<SecretBytes> value = reader_.Open(response.sealed_value());
  if (value.ok()) {
    values_.Given(response.environment(), response.name(), response.version(), value->view());
  } else {
    world_->Fail(
        absl::StrCat("a value that was read cannot be opened: ", value.status().ToString()));
  }
  response.clear_sealed_value();
  return response.SerializeAsString();
}

absl::StatusOr<std::string> SecretsUser::AnswerOfSecrets(const secrets::State& state,
                                                         const Operation& question) const {
  if (Asks<secrets::v1::GetSealingKeyRequest>(question.method)) {
    secrets::v1::GetSealingKeyResponse response;
    response.set_key(sealing_key_);
    return response.SerializeAsString();
  }
  if (Asks<secrets::v1::ListSecretVersionsRequest>(question.method)) {
    secrets::v1::ListSecretVersionsRequest request;
    BERTH_CHECK(request.ParseFromString(question.request));
    BERTH_ASSIGN_OR_RETURN(const std::vector<secrets::v1::SecretVersion> versions,
                           state.VersionsOf(request.environment(), request.name()));
    secrets::v1::ListSecretVersionsResponse response;
    for (const secrets::v1::SecretVersion& version : versions) *response.add_versions() = version;
    return response.SerializeAsString();
  }
  secrets::v1::ListSecretsRequest request;
  BERTH_CHECK(request.ParseFromString(question.request));
  secrets::v1::ListSecretsResponse response;
  for (const secrets::v1::Secret& secret : state.SecretsOf(request.environment())) {
    *response.add_secrets() = secret;
  }
  return response.SerializeAsString();
}

}  // namespace berth::simulation
