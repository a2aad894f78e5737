#include "services/secrets/service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/crypto/hash.h"
#include "common/log/log.h"
#include "common/secrets/bundle.h"
#include "common/secrets/grant.h"
#include "common/status/error_details.h"
#include "common/status/status_macros.h"
#include "services/secrets/envelope.h"

namespace berth::secrets {
namespace {

constexpr char kServicePrincipal[] = "service/secrets";
constexpr char kGrantingService[] = "scheduler";

constexpr char kSealingKeyRow[] = "secrets/sealing-key";
constexpr char kDigestKeyRow[] = "secrets/digest-key";
constexpr size_t kDigestKeySize = 32;

constexpr absl::Duration kPrepareRetryDelay = absl::Seconds(1);

// Of the value, without a copy outside guarded memory.
std::string ValueDigest(const SecretBytes& key, const std::string& path, const SecretBytes& value) {
  SecretBytes message(path.size() + 1 + value.size());  // Zeroed: a path is followed by a zero.
  std::copy(path.begin(), path.end(), message.data());
  std::copy(value.data(), value.data() + value.size(), message.data() + path.size() + 1);
  return KeyedBlake2b256(key.view(), message.view());
}

absl::Status NotReady() {
  return WithRetryDelay(
      WithReason(absl::UnavailableError("secrets is not serving: its keys are not loaded yet; try "
                                        "again in a moment"),
                 reason::kNotReady),
      absl::Seconds(1));
}

}  // namespace

Service::Service(Dependencies dependencies)
    : with_(dependencies),
      state_(State::kStream, LogWriter::Limits(), with_.log, with_.executor, with_.clock, with_.ids,
             {[this](const State&, uint64_t) { Prepare(); }}),
      dispatcher_(v1::PutSecretRequest::descriptor()->file()->service(0), &state_, with_.access,
                  with_.executor, with_.clock) {
  AddHandlers();
  AddQueries();
}

void Service::Start(std::string address, std::function<void(absl::Status)> started) {
  started_ = std::move(started);
  state_.Start({kServicePrincipal, std::move(address)}, [this](absl::Status status) {
    // Who leads prepares for it first.
    if (!status.ok() || !state_.writer().Leading().ok()) Started(std::move(status));
  });
}

void Service::Started(absl::Status status) {
  if (started_ != nullptr) return std::exchange(started_, nullptr)(std::move(status));
  if (!status.ok()) LogError("secrets cannot serve", {{"why", status.message()}});
}

void Service::Prepared(const absl::Status& status) {
  if (!absl::IsUnavailable(status)) return Started(status);
  // Until then calls that need the keys are refused, as they are where another process leads.
  with_.executor->PostAfter(kPrepareRetryDelay, [this] {
    if (state_.writer().Leading().ok()) Prepare();
  });
  Started(absl::OkStatus());
}

void Service::Prepare() {
  if (keys() != nullptr) return;
  const absl::StatusOr<std::optional<std::string>> found = with_.log->GetRow(kSealingKeyRow);
  if (!found.ok()) return Prepared(found.status());
  std::vector<RowChange> rows;
  if (!found->has_value()) {
    rows = {
        {kSealingKeyRow,
         with_.key_ring->Wrap(SealingKey::Generate().private_key(), kSealingKeyRow)},
        {kDigestKeyRow, with_.key_ring->Wrap(SecretBytes::Random(kDigestKeySize), kDigestKeyRow)}};
  }
  CommandOrigin origin;
  origin.principal = kServicePrincipal;
  origin.method = "MakeKeys";
  state_.Execute<v1::GetSealingKeyResponse>(
      origin, Recorded::kOnChange,
      [rows = std::move(rows)](const State& state, const DecisionContext&)
          -> Decided<v1::Event, v1::GetSealingKeyResponse> {
        if (!rows.empty() && !state.empty()) {
          return absl::DataLossError(absl::StrCat("there are secrets, but the row ", kSealingKeyRow,
                                                  " is missing; restore a backup"));
        }
        return Decision<v1::Event, v1::GetSealingKeyResponse>{{}, {}, rows};
      },
      [this](const absl::StatusOr<v1::GetSealingKeyResponse>& made) {
        Prepared(made.ok() ? LoadKeys() : made.status());
      });
}

absl::Status Service::LoadKeys() {
  auto key = [this](const char* row) -> absl::StatusOr<SecretBytes> {
    BERTH_ASSIGN_OR_RETURN(const std::optional<std::string> wrapped, with_.log->GetRow(row));
    if (!wrapped.has_value()) {
      return absl::DataLossError(absl::StrCat("the row ", row, " is missing; restore a backup"));
    }
    return with_.key_ring->Unwrap(*wrapped, row);
  };
  BERTH_ASSIGN_OR_RETURN(const SecretBytes private_key, key(kSealingKeyRow));
  BERTH_ASSIGN_OR_RETURN(SealingKey sealing, SealingKey::FromPrivateKey(private_key.view()));
  BERTH_ASSIGN_OR_RETURN(SecretBytes digests, key(kDigestKeyRow));
  MutexLock lock(&mutex_);
  keys_ = std::make_shared<const Keys>(Keys{std::move(sealing), std::move(digests)});
  return absl::OkStatus();
}

std::shared_ptr<const Service::Keys> Service::keys() const {
  MutexLock lock(&mutex_);
  return keys_;
}

void Service::AddHandlers() {
  dispatcher_.Unary<v1::PutSecretRequest, v1::PutSecretResponse>(
      [this](const rpc::Call& call, const v1::PutSecretRequest& request, auto reply) {
        // A refusal for want of keys is not for the record: a repeat would get it again.
        const std::shared_ptr<const Keys> own = keys();
        if (own == nullptr) return reply(NotReady());
        // Encrypted before it queues: the writer does nothing that takes long, and the command
        // carries no plaintext.
        state_.Execute<v1::PutSecretResponse>(
            call.origin, Recorded::kAlways,
            [request, value = SealAnew(*own, request)](
                const State& state,
                const DecisionContext& context) -> Decided<v1::Event, v1::PutSecretResponse> {
              if (!value.ok()) return value.status();
              return state.Decide(request, *value, context);
            },
            std::move(reply));
      });
  dispatcher_.Unary<v1::GetSecretRequest, v1::GetSecretResponse>(
      [this](const rpc::Call& call, const v1::GetSecretRequest& request, auto reply) {
        state_.Execute<v1::GetSecretResponse>(
            call.origin, Recorded::kAlways,
            [request](const State& state,
                      const DecisionContext& context) -> Decided<v1::Event, v1::GetSecretResponse> {
              if (request.reader_key().size() != kSealingKeySize) {
                return absl::InvalidArgumentError(
                    absl::StrCat("a read says which key to seal the value to: ", kSealingKeySize,
                                 " bytes, not ", request.reader_key().size()));
              }
              return state.Decide(request, context);
            },
            [this, reader_key = request.reader_key(),
             reply = std::move(reply)](absl::StatusOr<v1::GetSecretResponse> read) {
              if (!read.ok()) return reply(std::move(read));
              OpenValues(read->environment(), {{read->name(), read->version()}},
                         [read = *read, reader_key, reply](absl::StatusOr<Values> values) mutable {
                           if (!values.ok()) return reply(values.status());
                           absl::StatusOr<std::string> sealed =
                               Seal(reader_key, values->at(read.name()));
                           if (!sealed.ok()) return reply(sealed.status());
                           read.set_sealed_value(*std::move(sealed));
                           reply(std::move(read));
                         });
            });
      });
  dispatcher_.Unary<v1::GetBundleRequest, v1::GetBundleResponse>(
      [this](const rpc::Call& call, const v1::GetBundleRequest& request, auto reply) {
        const absl::StatusOr<v1::SecretGrant> grant = CheckGrant(call.caller, request.grant());
        state_.Execute<v1::GetBundleResponse>(
            call.origin, Recorded::kAlways,
            [grant](const State& state,
                    const DecisionContext& context) -> Decided<v1::Event, v1::GetBundleResponse> {
              if (!grant.ok()) return grant.status();
              return state.Decide(*grant, context);
            },
            [this, grant, host_key = call.caller.machine->keys().sealing(),
             reply = std::move(reply)](absl::StatusOr<v1::GetBundleResponse> given) {
              if (!given.ok()) return reply(std::move(given));
              OpenValues(grant->environment(), {grant->versions().begin(), grant->versions().end()},
                         [grant = *grant, host_key, reply](absl::StatusOr<Values> values) {
                           if (!values.ok()) return reply(values.status());
                           reply(SealBundle(grant, *values, host_key));
                         });
            });
      });
  dispatcher_.Command<v1::ActivateSecretRequest, v1::ActivateSecretResponse>();
  dispatcher_.Command<v1::DeleteSecretRequest, v1::DeleteSecretResponse>();
}

void Service::AddQueries() {
  dispatcher_.Unary<v1::GetSealingKeyRequest, v1::GetSealingKeyResponse>(
      [this](const rpc::Call&, const v1::GetSealingKeyRequest&, const auto& reply) {
        const std::shared_ptr<const Keys> own = keys();
        if (own == nullptr) return reply(NotReady());
        v1::GetSealingKeyResponse response;
        response.set_key(own->sealing.public_key());
        reply(std::move(response));
      });
  dispatcher_.Query<v1::ListSecretsRequest, v1::ListSecretsResponse>(
      [](const State& state, const v1::ListSecretsRequest& request) {
        v1::ListSecretsResponse response;
        for (v1::Secret& secret : state.SecretsOf(request.environment())) {
          *response.add_secrets() = std::move(secret);
        }
        return response;
      });
  dispatcher_.Query<v1::ListSecretVersionsRequest, v1::ListSecretVersionsResponse>(
      [](const State& state, const v1::ListSecretVersionsRequest& request)
          -> absl::StatusOr<v1::ListSecretVersionsResponse> {
        BERTH_ASSIGN_OR_RETURN(std::vector<v1::SecretVersion> versions,
                               state.VersionsOf(request.environment(), request.name()));
        v1::ListSecretVersionsResponse response;
        for (v1::SecretVersion& version : versions) *response.add_versions() = std::move(version);
        return response;
      });
  dispatcher_.Watch<v1::WatchActiveSecretsRequest>(State::kActiveSecretsTopic);
}

absl::StatusOr<SealedValue> Service::SealAnew(const Keys& keys,
                                              const v1::PutSecretRequest& request) const {
  const size_t sealed_size = request.sealed_value().size();
  if (sealed_size > State::kValueSizeMax + kSealOverhead) {
    return absl::InvalidArgumentError(absl::StrCat("a secret's value has at most ",
                                                   State::kValueSizeMax, " bytes; this one has ",
                                                   sealed_size - kSealOverhead));
  }
  const absl::StatusOr<SecretBytes> value = keys.sealing.Open(request.sealed_value());
  if (!value.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the value cannot be opened: ", value.status().message(),
                     "; seal it to the key that GetSealingKey tells"));
  }
  const std::string path = SecretPath(request.environment(), request.name());
  SealedValue sealed;
  sealed.uid = with_.ids->NewNonce();
  sealed.size_bytes = value->size();
  sealed.row = SealRow(*with_.key_ring, path, sealed.uid, *value);
  sealed.ciphertext_digest = CiphertextDigest(sealed.row);
  sealed.value_digest = ValueDigest(keys.digests, path, *value);
  return sealed;
}

absl::StatusOr<v1::SecretGrant> Service::CheckGrant(
    const rpc::Caller& caller, const v1::SignedSecretGrant& signed_grant) const {
  BERTH_ASSIGN_OR_RETURN(v1::SecretGrant grant, VerifyGrant(signed_grant));
  const std::optional<auth::v1::Machine> signer =
      with_.access->FindMachine(signed_grant.signed_by());
  if (!signer.has_value() || signer->kind() != auth::v1::MACHINE_KIND_SERVICE ||
      signer->name() != kGrantingService || signer->status() != auth::v1::MACHINE_STATUS_ACTIVE) {
    return absl::PermissionDeniedError("the grant was not signed by the platform's scheduler");
  }
  if (grant.host() != caller.machine->name()) {
    return absl::PermissionDeniedError(
        absl::StrCat("the grant is for host ", grant.host(), ", not for ", caller.principal));
  }
  return grant;
}

void Service::OpenValues(const types::v1::EnvironmentName& environment,
                         const std::map<std::string, uint64_t>& versions,
                         std::function<void(absl::StatusOr<Values>)> opened) {
  using Stored = std::map<std::string, StoredVersion>;
  state_.Read<Stored>(
      [environment, versions](const State& state) -> absl::StatusOr<Stored> {
        Stored stored;
        for (const auto& [name, version] : versions) {
          BERTH_ASSIGN_OR_RETURN(stored[name], state.FindVersion(environment, name, version));
        }
        return stored;
      },
      // Answers come on the executor, as do all uses of the log: rows may be read here.
      [this, opened = std::move(opened)](absl::StatusOr<Stored> stored) {
        if (!stored.ok()) return opened(stored.status());
        Values values;
        for (const auto& [name, version] : *stored) {
          absl::StatusOr<SecretBytes> value = OpenValue(version);
          if (!value.ok()) return opened(value.status());
          values[name] = *std::move(value);
        }
        opened(std::move(values));
      });
}

absl::StatusOr<SecretBytes> Service::OpenValue(const StoredVersion& version) {
  BERTH_ASSIGN_OR_RETURN(const std::optional<std::string> row, with_.log->GetRow(version.row_key));
  if (!row.has_value()) {
    // A command of the same batch erased it after the state was read.
    return absl::NotFoundError(absl::StrCat("secret ", version.path, " was deleted a moment ago"));
  }
  absl::StatusOr<SecretBytes> value =
      OpenRow(*with_.key_ring, version.path, version.uid, version.ciphertext_digest, *row);
  if (!value.ok()) {
    LogError("a stored secret cannot be opened",
             {{"row", version.row_key}, {"why", value.status().message()}});
  }
  return value;
}

}  // namespace berth::secrets
