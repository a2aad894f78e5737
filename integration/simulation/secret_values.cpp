#include "integration/simulation/secret_values.h"

#include "absl/strings/str_cat.h"
#include "berth/eventlog/v1/record.pb.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "common/check/check.h"
#include "common/crypto/sealed_box.h"
#include "common/ids/names.h"
#include "common/rpc/methods.h"
#include "services/secrets/state.h"

namespace berth::simulation {
namespace {

using types::v1::EnvironmentName;

std::string VersionKey(const EnvironmentName& environment, const std::string& name,
                       uint64_t version) {
  return absl::StrCat(secrets::SecretPath(environment, name), " ", version);
}

}  // namespace

std::string SecretValues::Seal(const std::string& sealing_key, const std::string& value) {
  newest_ = value;
  const absl::StatusOr<std::string> sealed = berth::Seal(sealing_key, value);
  BERTH_CHECK(sealed.ok());
  sealed_[*sealed] = value;
  return *sealed;
}

std::string SecretValues::SealNext(const std::string& sealing_key) {
  return Seal(sealing_key, absl::StrCat("value ", ++made_));
}

std::string SecretValues::SealAgain(const std::string& sealing_key) {
  return newest_.empty() ? SealNext(sealing_key) : Seal(sealing_key, newest_);
}

void SecretValues::Given(const EnvironmentName& environment, const std::string& name,
                         uint64_t version, absl::string_view value) {
  given_.push_back({VersionKey(environment, name, version), std::string(value)});
}

absl::Status SecretValues::Check(const std::vector<Journal::Entry>& records,
                                 const std::vector<Operation>& operations) const {
  std::map<std::string, const Operation*> by_request;
  for (const Operation& operation : operations) {
    if (operation.IsCommand()) by_request[operation.request_id] = &operation;
  }
  std::map<std::string, std::string> put;
  const std::string method = rpc::MethodFor(*secrets::v1::PutSecretRequest::descriptor()).full_name;
  for (const Journal::Entry& entry : records) {
    eventlog::v1::Record record;
    BERTH_CHECK(record.ParseFromString(entry.record.bytes));
    const auto asked = by_request.find(record.request_id());
    if (record.method() != method || record.outcome().code() != 0 || asked == by_request.end()) {
      continue;
    }
    secrets::v1::PutSecretRequest request;
    secrets::v1::PutSecretResponse response;
    BERTH_CHECK(request.ParseFromString(asked->second->request));
    BERTH_CHECK(response.ParseFromString(record.answer()));
    const std::string version =
        VersionKey(request.environment(), request.name(), response.version());
    const std::string& value = sealed_.at(request.sealed_value());
    if (response.unchanged() ? put[version] != value : !put.emplace(version, value).second) {
      return absl::InternalError(absl::StrCat(
          "position ", record.position(), ": ", version,
          response.unchanged() ? " has another value, and was told unchanged" : " was put twice"));
    }
  }
  for (const GivenValue& given : given_) {
    const auto known = put.find(given.version);
    if (known == put.end() || known->second != given.value) {
      return absl::InternalError(absl::StrCat(
          given.version, " was given as \"", given.value, "\", and ",
          known == put.end() ? "never put" : absl::StrCat("put as \"", known->second, "\"")));
    }
  }
  return absl::OkStatus();
}

}  // namespace berth::simulation
