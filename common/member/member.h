#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "berth/auth/v1/auth.pb.h"
#include "common/crypto/machine_identity.h"
#include "common/member/member_settings.h"
#include "common/rpc/channel.h"

namespace berth {

// A machine that is a member of the platform: its keys, what auth knows of it, and its way to the
// services.
class Member {
 public:
  // Finds the membership in the state folder, or joins with the token. While auth cannot be reached
  // it is tried again, until the process is told to stop (kCancelled). `addresses` are the host
  // names and IP addresses for a service's certificate. kFailedPrecondition: there is neither a
  // membership nor a token.
  static absl::StatusOr<Member> Join(const MemberSettings& settings,
                                     const std::vector<std::string>& addresses = {});

  const MachineIdentity& identity() const { return *identity_; }
  const auth::v1::Machine& machine() const { return membership_.machine(); }
  // Services: the certificate that they serve with, PEM.
  const std::string& server_certificate() const { return membership_.server_certificate(); }

  // A channel to all services, auth among them.
  const std::shared_ptr<rpc::Channel>& services() const { return services_; }

 private:
  Member() = default;

  std::unique_ptr<MachineIdentity> identity_;
  auth::v1::EnrolResponse membership_;
  std::shared_ptr<rpc::Channel> services_;
};

}  // namespace berth
