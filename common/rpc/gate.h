#pragma once

#include <google/protobuf/message.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "berth/auth/v1/auth.pb.h"
#include "common/rpc/access_view.h"
#include "common/rpc/methods.h"

namespace berth::rpc {

// How a caller identifies: a machine by the key TLS proved it holds, a person by a bearer token.
struct Credentials {
  std::string identity_key;  // 32 bytes of Ed25519, or empty.
  std::string token;         // Or empty.
};

// Who calls, once let in. A public method may have a caller that is nobody.
struct Caller {
  std::string principal;  // user/NAME, host/NAME, edge/NAME, service/NAME; empty: nobody.
  // The key TLS proved the caller holds, member or not; enrolment is about it.
  std::string identity_key;
  std::optional<auth::v1::Machine> machine;  // Machines.
  // People, with the roles and powers that the call's token gives them.
  std::optional<auth::v1::Principal> person;
  std::string token_hash;  // People: of the call's token.
};

// Decides who may call what. Pure but for the view it looks into; safe from any thread.
class Gate {
 public:
  // The view outlives the gate.
  explicit Gate(const AccessView* view) : view_(view) {}

  // Who is calling. kUnauthenticated: no or unknown credentials; kUnavailable: the access watch has
  // not arrived yet.
  absl::StatusOr<Caller> Identify(const Credentials& credentials, absl::Time now) const;

  // Whether the caller may make this call. kUnauthenticated: only somebody may, and the caller is
  // nobody; kPermissionDenied: this caller may not.
  absl::Status Permit(const Caller& caller, const Method& method,
                      const google::protobuf::Message& request) const;

 private:
  const AccessView* const view_;
};

}  // namespace berth::rpc
