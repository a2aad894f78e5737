#include "services/auth/service.h"

#include <arpa/inet.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/crypto/hash.h"
#include "common/files/atomic_file.h"
#include "common/log/log.h"
#include "common/rpc/token.h"
#include "common/status/error_details.h"
#include "common/status/status_macros.h"

namespace berth::auth {
namespace {

constexpr char kStream[] = "auth";
constexpr char kServicePrincipal[] = "service/auth";
constexpr char kServiceDomain[] = ".berth.internal";

constexpr char kCaKeyRow[] = "auth/ca-key";
constexpr char kCaCertificateRow[] = "auth/ca-certificate";
constexpr char kTokenKeyRow[] = "auth/token-key";
constexpr size_t kTokenKeySize = 32;

constexpr char kBootstrapTokenFile[] = "bootstrap-token";
constexpr char kCaFile[] = "ca.pem";
constexpr char kJoinTokenFolder[] = "join-tokens";
constexpr size_t kTokenFileSizeMax = 1024;
constexpr mode_t kPrivate = 0600;
constexpr mode_t kPublic = 0644;

// What has expired is let in no more anyway: this bounds the state and ends open streams.
constexpr absl::Duration kForgetEvery = absl::Minutes(1);

constexpr absl::Duration kPrepareRetryDelay = absl::Seconds(1);

constexpr size_t kUlaPrefixSize = 6;
constexpr char kUlaFirstByte = '\xfd';  // RFC 4193 section 3.1: locally assigned.

bool IsIpAddress(const std::string& address) {
  unsigned char parsed[sizeof(in6_addr)];
  return inet_pton(AF_INET, address.c_str(), parsed) == 1 ||
         inet_pton(AF_INET6, address.c_str(), parsed) == 1;
}

// Refusals of nobody in particular are not written down: anyone could fill the disk with them.
Recorded RecordedOf(const rpc::Call& call) {
  return call.caller.principal.empty() ? Recorded::kOnChange : Recorded::kAlways;
}

}  // namespace

Service::Service(Dependencies dependencies)
    : with_(std::move(dependencies)),
      state_(kStream, LogWriter::Limits(), with_.log, with_.executor, with_.clock, with_.ids,
             {[this](const State& state, uint64_t position) {
                access_.Replace(state.Entries(State::kAccessTopic));
                if (state.initialised()) access_.Advance(position);
                if (!std::exchange(prepared_, true)) Prepare();
              },
              [this](const State& state, const std::vector<v1::Event>& events, uint64_t position) {
                std::set<TopicKey> touched;
                for (const v1::Event& event : events) state.Touched(event, &touched);
                for (const TopicKey& key : touched) {
                  if (key.first == State::kAccessTopic) access_.Set(key.second, state.View(key));
                }
                access_.Advance(position);
              },
              [this] { prepared_ = false; }}),
      dispatcher_(v1::LoginRequest::descriptor()->file()->service(0), &state_, &access_,
                  with_.executor, with_.clock) {
  AddHandlers();
}

template <typename Request, typename Response>
void Service::Issue(std::function<void(Response*, const std::string& secret)> show) {
  dispatcher_.Unary<Request, Response>(
      [this, show](const rpc::Call& call, const Request& request, auto reply) {
        const std::string secret = DeriveSecret(call.origin);
        state_.Execute<Response>(
            call.origin, RecordedOf(call),
            [request, hash = rpc::TokenHash(secret), caller = call.caller](
                const State& state, const DecisionContext& context) {
              if constexpr (requires { state.Decide(request, hash, caller, context); }) {
                return state.Decide(request, hash, caller, context);
              } else {
                return state.Decide(request, hash, context);
              }
            },
            [secret, show, reply](absl::StatusOr<Response> response) {
              // Without an end there is no token: what was asked for needed none.
              if (response.ok() && response->has_expire_time()) show(&*response, secret);
              reply(std::move(response));
            });
      });
}

void Service::AddHandlers() {
  Issue<v1::LoginRequest, v1::LoginResponse>([](auto* response, const std::string& secret) {
    response->set_token(rpc::FormatToken(response->position(), secret));
  });
  Issue<v1::CreateTokenRequest, v1::CreateTokenResponse>(
      [](auto* response, const std::string& secret) {
        response->set_token(rpc::FormatToken(response->position(), secret));
      });
  Issue<v1::AddMemberRequest, v1::AddMemberResponse>([this](auto* response,
                                                            const std::string& secret) {
    response->set_login_token(rpc::FormatOneTimeToken(rpc::kLoginPurpose, ca_fingerprint_, secret));
  });
  Issue<v1::CreateLoginTokenRequest, v1::CreateLoginTokenResponse>(
      [this](auto* response, const std::string& secret) {
        response->set_login_token(
            rpc::FormatOneTimeToken(rpc::kLoginPurpose, ca_fingerprint_, secret));
      });
  Issue<v1::CreateJoinTokenRequest, v1::CreateJoinTokenResponse>([this](auto* response,
                                                                        const std::string& secret) {
    response->set_join_token(rpc::FormatOneTimeToken(rpc::kJoinPurpose, ca_fingerprint_, secret));
  });
  dispatcher_.Command<v1::LogoutRequest, v1::LogoutResponse>();
  dispatcher_.Command<v1::CreateOrgRequest, v1::CreateOrgResponse>();
  dispatcher_.Command<v1::SetRoleRequest, v1::SetRoleResponse>();
  dispatcher_.Command<v1::RemoveMemberRequest, v1::RemoveMemberResponse>();
  dispatcher_.Command<v1::RevokeTokenRequest, v1::RevokeTokenResponse>();
  dispatcher_.Command<v1::RemoveMachineRequest, v1::RemoveMachineResponse>();
  dispatcher_.Command<v1::ApproveMachineRequest, v1::ApproveMachineResponse>();
  dispatcher_.Unary<v1::WhoAmIRequest, v1::WhoAmIResponse>(
      [](const rpc::Call& call, const v1::WhoAmIRequest&, auto reply) {
        v1::WhoAmIResponse response;
        response.set_principal(call.caller.principal);
        if (call.caller.person.has_value()) {
          *response.mutable_bindings() = call.caller.person->bindings();
          response.set_platform_admin(call.caller.person->platform_admin());
        }
        reply(std::move(response));
      });
  dispatcher_.Query<v1::ListOrgsRequest, v1::ListOrgsResponse>(
      [](const State& state, const v1::ListOrgsRequest&, const rpc::Caller& caller) {
        return state.OrgsOf(caller);
      });
  dispatcher_.Query<v1::ListMembersRequest, v1::ListMembersResponse>(
      [](const State& state, const v1::ListMembersRequest& request) {
        return state.MembersOf(request.org());
      });
  dispatcher_.Query<v1::ListTokensRequest, v1::ListTokensResponse>(
      [](const State& state, const v1::ListTokensRequest& request, const rpc::Caller& caller) {
        return state.TokensOf(request.principal(), caller);
      });
  dispatcher_.Unary<v1::EnrolRequest, v1::EnrolResponse>([this](const rpc::Call& call,
                                                                const v1::EnrolRequest& request,
                                                                auto reply) {
    state_.Execute<v1::EnrolResponse>(
        call.origin, RecordedOf(call),
        [request, key = call.caller.identity_key](const State& state,
                                                  const DecisionContext& context) {
          return state.Decide(request, key, context);
        },
        [this, request, origin = call.origin, reply](absl::StatusOr<v1::EnrolResponse> response) {
          if (ReasonOf(response.status()) == reason::kKeyChanged) {
            // Somebody holds a token that auth made, and other keys: that is for the audit.
            return state_.RecordRefusal(origin, response.status(), reply);
          }
          if (!response.ok()) return reply(std::move(response));
          response->set_ca_certificate(ca_->certificate_pem());
          if (response->machine().kind() == v1::MACHINE_KIND_SERVICE) {
            absl::StatusOr<std::string> certificate =
                IssueCertificate(request.keys().identity(), {response->machine().name()},
                                 {request.addresses().begin(), request.addresses().end()});
            if (!certificate.ok()) return reply(certificate.status());
            response->set_server_certificate(*std::move(certificate));
          }
          reply(std::move(response));
        });
  });
  dispatcher_.Query<v1::ListMachinesRequest, v1::ListMachinesResponse>(
      [](const State& state, const v1::ListMachinesRequest& request) {
        v1::ListMachinesResponse response;
        for (v1::Machine& machine : state.MachinesOf(request.org())) {
          *response.add_machines() = std::move(machine);
        }
        return response;
      });
  // Said at every start, so what changes nothing is not worth a record.
  dispatcher_.Command<v1::AnnounceServiceRequest, v1::AnnounceServiceResponse>(Recorded::kOnChange);
  dispatcher_.Query<v1::ListServicesRequest, v1::ListServicesResponse>(
      [](const State& state, const v1::ListServicesRequest&) { return state.Services(); });
  dispatcher_.Watch<v1::WatchAccessRequest>(State::kAccessTopic);
  dispatcher_.Watch<v1::WatchMachinesRequest>(State::kMachinesTopic);
}

void Service::Start(std::string address, std::function<void(absl::Status)> started) {
  started_ = std::move(started);
  state_.Start({kServicePrincipal, std::move(address)}, [this](absl::Status status) {
    if (!status.ok()) return Started(std::move(status));
    if (!state_.writer().Leading().ok()) Begin();
  });
}

void Service::Begin() {
  if (state_.writer().Leading().ok()) {
    Prepare();
  } else if (started_ != nullptr) {
    StandBy();
  }
}

void Service::StandBy() {
  // Who leads the first start has to make the platform first.
  const absl::StatusOr<std::optional<std::string>> made = with_.log->GetRow(kCaCertificateRow);
  if (made.ok() && made->has_value()) return Started(LoadKeys());
  with_.executor->PostAfter(kPrepareRetryDelay, [this] { Begin(); });
}

void Service::Started(absl::Status status) {
  if (started_ != nullptr) return std::exchange(started_, nullptr)(std::move(status));
  if (!status.ok()) LogError("what auth leads with is not complete", {{"why", status.message()}});
}

void Service::Prepared(const absl::Status& status) {
  if (!absl::IsUnavailable(status)) return Started(status);
  // Another process leads, or the log cannot be reached: then it begins anew.
  with_.executor->PostAfter(kPrepareRetryDelay, [this] { Begin(); });
}

void Service::Prepare() {
  const absl::StatusOr<std::string> bootstrap_token = ReadOrMakeBootstrapToken();
  if (!bootstrap_token.ok()) return Started(bootstrap_token.status());
  // Made here and thrown away where the platform exists already: the decision alone knows.
  absl::StatusOr<CertificateAuthority> ca = CertificateAuthority::Generate();
  if (!ca.ok()) return Started(ca.status());
  std::vector<RowChange> rows = {
      {kCaKeyRow, with_.key_ring->Wrap(ca->seed(), kCaKeyRow)},
      {kCaCertificateRow, ca->certificate_pem()},
      {kTokenKeyRow, with_.key_ring->Wrap(SecretBytes::Random(kTokenKeySize), kTokenKeyRow)}};
  const std::string ula_prefix = absl::StrCat(std::string(1, kUlaFirstByte),
                                              with_.ids->NewNonce().substr(0, kUlaPrefixSize - 1));
  CommandOrigin origin;
  origin.principal = kServicePrincipal;
  origin.method = "Initialise";
  state_.Execute<v1::WhoAmIResponse>(
      origin, Recorded::kOnChange,
      [ula_prefix, hash = Blake2b256({*bootstrap_token}), rows = std::move(rows)](
          const State& state, const DecisionContext&) {
        return state.Initialise(ula_prefix, hash, rows);
      },
      [this](absl::StatusOr<v1::WhoAmIResponse> initialised) {
        if (!initialised.ok()) return Prepared(initialised.status());
        if (absl::Status status = LoadKeys(); !status.ok()) return Prepared(status);
        if (absl::Status status = WriteFileAtomically(absl::StrCat(with_.folder, "/", kCaFile),
                                                      ca_->certificate_pem(), kPublic);
            !status.ok()) {
          return Prepared(status);
        }
        CreateServiceJoinTokens(0, [this](absl::Status status) {
          if (status.ok()) ForgetExpiredLater(++terms_);
          Prepared(status);
        });
      });
}

absl::Status Service::LoadKeys() {
  if (ca_.has_value()) return absl::OkStatus();
  auto row = [this](const char* key) -> absl::StatusOr<std::string> {
    BERTH_ASSIGN_OR_RETURN(std::optional<std::string> value, with_.log->GetRow(key));
    if (!value.has_value()) {
      return absl::DataLossError(absl::StrCat("the row ", key, " is missing; restore a backup"));
    }
    return *std::move(value);
  };
  BERTH_ASSIGN_OR_RETURN(const std::string wrapped_ca_key, row(kCaKeyRow));
  BERTH_ASSIGN_OR_RETURN(const SecretBytes seed, with_.key_ring->Unwrap(wrapped_ca_key, kCaKeyRow));
  BERTH_ASSIGN_OR_RETURN(const std::string certificate, row(kCaCertificateRow));
  BERTH_ASSIGN_OR_RETURN(ca_, CertificateAuthority::LoadFrom(seed, certificate));
  BERTH_ASSIGN_OR_RETURN(ca_fingerprint_, Fingerprint(certificate));
  BERTH_ASSIGN_OR_RETURN(const std::string wrapped_token_key, row(kTokenKeyRow));
  BERTH_ASSIGN_OR_RETURN(token_key_, with_.key_ring->Unwrap(wrapped_token_key, kTokenKeyRow));
  return absl::OkStatus();
}

absl::StatusOr<std::string> Service::ReadOrMakeBootstrapToken() const {
  const std::string path = absl::StrCat(with_.folder, "/", kBootstrapTokenFile);
  const absl::StatusOr<std::string> found = ReadFile(path, kTokenFileSizeMax);
  if (found.ok()) return std::string(absl::StripAsciiWhitespace(*found));
  if (!absl::IsNotFound(found.status())) return found.status();
  // On disk before its hash is in the log: a crash between the two must not lock everybody out.
  const std::string token = absl::StrCat(
      "berth_bootstrap_", HexEncode(SecretBytes::Random(rpc::kTokenSecretSize).view()));
  BERTH_RETURN_IF_ERROR(WriteFileAtomically(path, absl::StrCat(token, "\n"), kPrivate));
  return token;
}

void Service::CreateServiceJoinTokens(size_t next, std::function<void(absl::Status)> done) {
  if (next == with_.services.size()) return done(absl::OkStatus());
  const std::string& name = with_.services[next];
  const std::string folder = absl::StrCat(with_.folder, "/", kJoinTokenFolder);
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return done(absl::InternalError(
        absl::StrCat("cannot make the folder ", folder, ": ", std::strerror(errno))));
  }
  const std::string secret(SecretBytes::Random(rpc::kTokenSecretSize).view());
  CommandOrigin origin;
  origin.principal = kServicePrincipal;
  origin.method = "CreateServiceJoinToken";
  state_.Execute<v1::CreateJoinTokenResponse>(
      origin, Recorded::kOnChange,
      [name, hash = rpc::TokenHash(secret)](const State& state, const DecisionContext& context) {
        return state.CreateServiceJoinToken(name, hash, context);
      },
      [this, next, name, secret, folder,
       done](absl::StatusOr<v1::CreateJoinTokenResponse> response) {
        if (!response.ok()) return done(response.status());
        if (response->has_expire_time()) {  // Absent: a member already.
          if (absl::Status status = WriteFileAtomically(
                  absl::StrCat(folder, "/", name),
                  absl::StrCat(rpc::FormatOneTimeToken(rpc::kJoinPurpose, ca_fingerprint_, secret),
                               "\n"),
                  kPrivate);
              !status.ok()) {
            return done(std::move(status));
          }
        }
        CreateServiceJoinTokens(next + 1, done);
      });
}

void Service::ForgetExpiredLater(uint64_t term) {
  with_.executor->PostAfter(kForgetEvery, [this, term] {
    if (term != terms_ || !state_.writer().Leading().ok()) return;
    CommandOrigin origin;
    origin.principal = kServicePrincipal;
    origin.method = "ForgetExpired";
    state_.Execute<v1::LogoutResponse>(
        origin, Recorded::kOnChange,
        [](const State& state, const DecisionContext& context) {
          return state.ForgetExpired(context);
        },
        [this, term](absl::StatusOr<v1::LogoutResponse> forgotten) {
          if (!forgotten.ok()) {
            LogWarning("what has expired is forgotten later",
                       {{"why", forgotten.status().message()}});
          }
          ForgetExpiredLater(term);
        });
  });
}

std::string Service::DeriveSecret(const CommandOrigin& origin) const {
  const std::string separator(1, '\0');
  // Without a request id every call is its own.
  const std::string id = origin.request_id.empty() ? with_.ids->NewNonce() : origin.request_id;
  return KeyedBlake2b256(token_key_->view(),
                         absl::StrCat(origin.principal, separator, origin.method, separator, id,
                                      separator, origin.fingerprint));
}

absl::StatusOr<std::string> Service::IssueCertificate(
    absl::string_view identity_key, const std::vector<std::string>& services,
    const std::vector<std::string>& addresses) const {
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  for (const std::string& service : services) {
    dns_names.push_back(absl::StrCat(service, kServiceDomain));
  }
  for (const std::string& address : addresses) {
    // A service may not claim another one's name by calling it an address.
    if (absl::EndsWith(address, kServiceDomain)) {
      return absl::InvalidArgumentError(
          absl::StrCat(address, " is a name of Berth's own services, not an address"));
    }
    (IsIpAddress(address) ? ip_addresses : dns_names).push_back(address);
  }
  BERTH_ASSIGN_OR_RETURN(const std::string certificate,
                         ca_->IssueServerCertificate(identity_key, dns_names, ip_addresses));
  // Servers show the authority, too: a machine that has only its fingerprint takes it from there.
  return absl::StrCat(certificate, ca_->certificate_pem());
}

}  // namespace berth::auth
