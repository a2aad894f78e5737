#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "berth/auth/v1/auth.pb.h"
#include "berth/auth/v1/events.pb.h"
#include "common/eventlog/event_sourced.h"

namespace berth::auth {

// Who may do what: orgs, people, token hashes and member machines, as the events so far make them.
// Pure: see common/eventlog/event_sourced.h.
class State {
 public:
  using Event = v1::Event;

  static constexpr absl::Duration kSessionDuration = absl::Hours(24 * 30);
  static constexpr absl::Duration kJoinTokenDuration = absl::Hours(24);
  // Host numbers are 16 bits of a /64 inside the platform's /48.
  static constexpr uint32_t kHostNumberMax = 0xffff;

  // The topics that are watched.
  static constexpr char kAccessTopic[] = "access";
  static constexpr char kMachinesTopic[] = "machines";

  // Makes a platform: its address prefix, the org `home`, user/admin, and the bootstrap token that
  // signs in as it. Already so: no events.
  Decided<Event, v1::WhoAmIResponse> Initialise(const std::string& ula_prefix,
                                                const std::string& bootstrap_token_hash,
                                                std::vector<RowChange> rows) const;

  // `token_hash` is that of the token the caller will be given.
  Decided<Event, v1::LoginResponse> Decide(const v1::LoginRequest& request,
                                           const std::string& token_hash,
                                           const DecisionContext& context) const;
  Decided<Event, v1::CreateJoinTokenResponse> Decide(const v1::CreateJoinTokenRequest& request,
                                                     const std::string& token_hash,
                                                     const DecisionContext& context) const;
  // A join token for one of Berth's services, which have no org.
  Decided<Event, v1::CreateJoinTokenResponse> CreateServiceJoinToken(
      const std::string& name, const std::string& token_hash, const DecisionContext& context) const;
  // `tls_key` is the key that TLS proved the caller holds.
  Decided<Event, v1::EnrolResponse> Decide(const v1::EnrolRequest& request,
                                           const std::string& tls_key,
                                           const DecisionContext& context) const;

  void Apply(const Event& event);

  void Touched(const Event& event, std::set<TopicKey>* keys) const;
  std::optional<std::string> View(const TopicKey& key) const;
  TopicEntries Entries(const std::string& topic) const;

  bool initialised() const { return !ula_prefix_.empty(); }
  bool HasOrg(const std::string& org) const { return orgs_.contains(org); }
  const v1::Machine* FindMachine(v1::MachineKind kind, const std::string& name) const;
  std::vector<v1::Machine> MachinesOf(const std::string& org) const;

 private:
  struct JoinToken {
    v1::JoinTokenCreated created;
    std::optional<std::string> used_by;  // The identity key that it enrolled.
  };
  using MachineId = std::pair<v1::MachineKind, std::string>;

  std::string ula_prefix_;  // 6 bytes.
  std::string bootstrap_token_hash_;
  std::set<std::string> orgs_;
  std::map<std::string, v1::Principal> principals_;
  std::map<std::string, v1::TokenIssued> tokens_;  // By hash.
  std::map<std::string, JoinToken> join_tokens_;   // By hash.
  std::map<MachineId, v1::Machine> machines_;
  std::map<std::string, MachineId> machines_by_key_;
  uint32_t hosts_numbered_ = 0;
};

// host/NAME, edge/NAME, service/NAME.
std::string PrincipalOf(const v1::Machine& machine);

}  // namespace berth::auth
