#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "berth/auth/v1/auth.pb.h"
#include "berth/auth/v1/events.pb.h"
#include "berth/auth/v1/snapshot.pb.h"
#include "common/eventlog/event_sourced.h"
#include "common/rpc/gate.h"

namespace berth::auth {

// Who may do what: orgs, people, token hashes and member machines, as the events so far make them.
// Pure: see common/eventlog/event_sourced.h.
class State {
 public:
  using Event = v1::Event;
  using Snapshot = v1::StateSnapshot;

  // Raised where Apply makes another state of old events than the version before did.
  static constexpr uint32_t kStateVersion = 1;

  static constexpr absl::Duration kSessionDuration = absl::Hours(24 * 30);
  static constexpr absl::Duration kTokenDurationMax = absl::Hours(24 * 365);
  static constexpr absl::Duration kLoginTokenDuration = absl::Hours(24);
  static constexpr absl::Duration kJoinTokenDuration = absl::Hours(24);
  // Sessions and tokens of one person: a further session ends the oldest, a further token is
  // refused.
  static constexpr size_t kTokensMax = 100;
  // Join tokens that have not expired.
  static constexpr size_t kJoinTokensMax = 1000;
  static constexpr int kForgottenMax = 1000;
  static constexpr size_t kOrgsMax = 10'000;
  static constexpr size_t kPeopleMax = 100'000;
  // Host numbers are 16 bits of a /64 inside the platform's /48.
  static constexpr uint32_t kHostNumberMax = 0xffff;

  // The topics that are watched.
  static constexpr char kAccessTopic[] = "access";
  static constexpr char kMachinesTopic[] = "machines";

  // Makes a platform: its address prefix, the org `home`, user/admin, and the bootstrap token that
  // signs in as it. Where there is one already, that token is the only thing that may change.
  Decided<Event, v1::WhoAmIResponse> Initialise(const std::string& ula_prefix,
                                                const std::string& bootstrap_token_hash,
                                                std::vector<RowChange> rows) const;

  // Orgs and people (state_people.cpp). A `token_hash` is that of the token the caller will be
  // given, where the answer says when it ends.
  Decided<Event, v1::CreateOrgResponse> Decide(const v1::CreateOrgRequest& request,
                                               const DecisionContext& context) const;
  Decided<Event, v1::AddMemberResponse> Decide(const v1::AddMemberRequest& request,
                                               const std::string& token_hash,
                                               const DecisionContext& context) const;
  Decided<Event, v1::SetRoleResponse> Decide(const v1::SetRoleRequest& request) const;
  Decided<Event, v1::RemoveMemberResponse> Decide(const v1::RemoveMemberRequest& request) const;

  // Sessions and tokens (state_tokens.cpp).
  Decided<Event, v1::LoginResponse> Decide(const v1::LoginRequest& request,
                                           const std::string& token_hash,
                                           const DecisionContext& context) const;
  Decided<Event, v1::LogoutResponse> Decide(const v1::LogoutRequest& request,
                                            const rpc::Caller& caller) const;
  Decided<Event, v1::CreateLoginTokenResponse> Decide(const v1::CreateLoginTokenRequest& request,
                                                      const std::string& token_hash,
                                                      const rpc::Caller& caller,
                                                      const DecisionContext& context) const;
  Decided<Event, v1::CreateTokenResponse> Decide(const v1::CreateTokenRequest& request,
                                                 const std::string& token_hash,
                                                 const rpc::Caller& caller,
                                                 const DecisionContext& context) const;
  Decided<Event, v1::RevokeTokenResponse> Decide(const v1::RevokeTokenRequest& request,
                                                 const rpc::Caller& caller) const;
  // Forgets what has expired, kForgottenMax of each kind at most.
  Decided<Event, v1::LogoutResponse> ForgetExpired(const DecisionContext& context) const;

  // Machines (state_machines.cpp).
  Decided<Event, v1::CreateJoinTokenResponse> Decide(const v1::CreateJoinTokenRequest& request,
                                                     const std::string& token_hash,
                                                     const DecisionContext& context) const;
  // A join token for one of Berth's services, which have no org.
  Decided<Event, v1::CreateJoinTokenResponse> CreateServiceJoinToken(
      const std::string& name, const std::string& token_hash, const DecisionContext& context) const;
  // `tls_key` is the key that TLS proved the caller holds. Refusals with reason KEY_CHANGED are of
  // callers who held a token that auth made.
  Decided<Event, v1::EnrolResponse> Decide(const v1::EnrolRequest& request,
                                           const std::string& tls_key,
                                           const DecisionContext& context) const;
  Decided<Event, v1::RemoveMachineResponse> Decide(const v1::RemoveMachineRequest& request) const;
  Decided<Event, v1::ApproveMachineResponse> Decide(const v1::ApproveMachineRequest& request) const;

  // The caller is the service.
  Decided<Event, v1::AnnounceServiceResponse> Decide(const v1::AnnounceServiceRequest& request,
                                                     const DecisionContext& context) const;

  void Apply(const Event& event);

  void Touched(const Event& event, std::set<TopicKey>* keys) const;
  std::optional<std::string> View(const TopicKey& key) const;
  TopicEntries Entries(const std::string& topic) const;

  // The whole state, and back (state_snapshot.cpp).
  Snapshot Save() const;
  void Load(const Snapshot& saved);

  bool initialised() const { return !ula_prefix_.empty(); }
  bool HasOrg(const std::string& org) const { return orgs_.contains(org); }
  const v1::Machine* FindMachine(v1::MachineKind kind, const std::string& name) const;
  std::vector<v1::Machine> MachinesOf(const std::string& org) const;
  v1::ListOrgsResponse OrgsOf(const rpc::Caller& caller) const;
  v1::ListMembersResponse MembersOf(const std::string& org) const;
  // kPermissionDenied: they are somebody else's.
  absl::StatusOr<v1::ListTokensResponse> TokensOf(const std::string& principal,
                                                  const rpc::Caller& caller) const;
  v1::ListServicesResponse Services() const;

 private:
  struct JoinToken {
    v1::JoinTokenCreated created;
    std::optional<std::string> used_by;  // The identity key that it enrolled.
  };
  using MachineId = std::pair<v1::MachineKind, std::string>;

  // The person, where they have a role in the org.
  absl::StatusOr<const v1::Principal*> FindMember(const std::string& org,
                                                  const std::string& principal) const;
  // Who is signing in, and the hash of the login token where one proves it.
  absl::StatusOr<std::pair<std::string, std::string>> CheckProof(const v1::LoginRequest& request,
                                                                 absl::Time now) const;
  // In the order of creation.
  std::vector<const v1::TokenIssued*> TokensInOrder(const std::string& principal) const;
  absl::Status CheckSession(const rpc::Caller& caller) const;
  // A host or edge of the org.
  absl::StatusOr<const v1::Machine*> FindMachineOf(const std::string& org, v1::MachineKind kind,
                                                   const std::string& name) const;
  Decided<Event, v1::EnrolResponse> Join(const JoinToken& token, const v1::EnrolRequest& request,
                                         absl::Time now) const;
  Decided<Event, v1::EnrolResponse> ChangeSignedKeys(const v1::EnrolRequest& request) const;
  static Decision<Event, v1::EnrolResponse> ChangeKeys(const v1::Machine& member,
                                                       const v1::MachineKeys& keys,
                                                       const std::string& join_token_hash);

  std::string ula_prefix_;  // 6 bytes.
  std::string bootstrap_token_hash_;
  std::set<std::string> orgs_;
  std::map<std::string, v1::Principal> principals_;
  std::map<std::string, v1::TokenIssued> tokens_;              // By hash.
  std::map<std::string, v1::LoginTokenCreated> login_tokens_;  // By principal.
  std::map<std::string, JoinToken> join_tokens_;               // By hash.
  std::map<MachineId, v1::Machine> machines_;
  std::map<std::string, MachineId> machines_by_key_;
  uint32_t hosts_numbered_ = 0;
  // HOST:PORT by name, of the services that are not where auth is.
  std::map<std::string, std::string> service_addresses_;
};

// host/NAME, edge/NAME, service/NAME.
std::string PrincipalOf(const v1::Machine& machine);

// What a member's key signs in front of the identity key that is to take its place.
inline constexpr char kNewIdentityPurpose[] = "berth-new-identity-v1";

// What the files of State share.
bool IsPast(const google::protobuf::Timestamp& time, absl::Time now);
absl::string_view KindName(v1::MachineKind kind);

}  // namespace berth::auth
