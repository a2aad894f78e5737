#pragma once

// For tests of State: a platform as its first start makes it, and machines with keys.

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "common/crypto/hash.h"
#include "common/crypto/machine_identity.h"
#include "common/rpc/token.h"
#include "common/testing/scenario.h"
#include "common/testing/temp_dir.h"
#include "services/auth/state.h"

namespace berth::auth {

using berth::testing::Scenario;
using berth::testing::TempDir;

inline const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
inline constexpr char kUlaPrefix[] = "\xfd\x01\x02\x03\x04\x05";
inline constexpr char kBootstrapToken[] = "berth_bootstrap_secret";

inline DecisionContext At(absl::Time now) {
  DecisionContext context;
  context.now = now;
  context.principal = "user/admin";
  context.position = 42;
  return context;
}

inline std::string ReadTopic(const TopicKey& key, const std::string& value) {
  auto text = [&value](auto message) {
    REQUIRE(message.ParseFromString(value));
    return message.DebugString();
  };
  if (key.first == State::kMachinesTopic || absl::StartsWith(key.second, "machine/")) {
    return text(v1::Machine());
  }
  if (absl::StartsWith(key.second, "principal/")) return text(v1::Principal());
  return text(v1::Token());
}

inline std::vector<v1::Event> PlatformInitialised() {
  return State().Initialise(kUlaPrefix, Blake2b256({kBootstrapToken}), {})->events;
}

inline Scenario<State> Platform() {
  Scenario<State> scenario(ReadTopic);
  scenario.Given(PlatformInitialised());
  return scenario;
}

// A secret part of a token, of a size that ParseToken takes.
inline std::string Secret(char c) { return std::string(rpc::kTokenSecretSize, c); }

inline v1::Event JoinTokenCreated(char secret, v1::MachineKind kind, const std::string& name) {
  v1::Event event;
  v1::JoinTokenCreated* created = event.mutable_join_token_created();
  created->set_token_hash(rpc::TokenHash(Secret(secret)));
  created->set_kind(kind);
  created->set_name(name);
  created->set_org(kind == v1::MACHINE_KIND_SERVICE ? "" : "home");
  created->mutable_expire_time()->set_seconds(
      absl::ToUnixSeconds(kNow + State::kJoinTokenDuration));
  return event;
}

inline std::string JoinToken(char secret) {
  return rpc::FormatOneTimeToken(rpc::kJoinPurpose, std::string(64, '0'), Secret(secret));
}

// A machine with keys of its own.
struct Machine {
  v1::EnrolRequest Enrol(char secret) const {
    v1::EnrolRequest request;
    request.set_join_token(JoinToken(secret));
    const PublicKeys& keys = identity.public_keys();
    request.mutable_keys()->set_identity(keys.identity);
    request.mutable_keys()->set_wireguard(keys.wireguard);
    request.mutable_keys()->set_sealing(keys.sealing);
    request.mutable_keys()->set_wireguard_signature(keys.wireguard_signature);
    request.mutable_keys()->set_sealing_signature(keys.sealing_signature);
    return request;
  }
  const std::string& key() const { return identity.public_keys().identity; }

  TempDir folder;
  MachineIdentity identity = *MachineIdentity::LoadOrCreate(folder.File("identity"));
};

}  // namespace berth::auth
