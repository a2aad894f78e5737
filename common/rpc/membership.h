#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "berth/auth/v1/auth.pb.h"
#include "common/crypto/machine_identity.h"
#include "common/rpc/channel.h"

namespace berth::rpc {

// What a machine needs to join the platform, or to find that it has.
struct JoinOptions {
  std::string folder;                  // Keeps the file `member`, the answer to joining.
  std::string auth_address;            // HOST:PORT of berth-auth.
  std::string ca_pem;                  // The platform CA; empty: the one that the token names.
  std::string join_token_file;         // Read only where there is no membership yet.
  std::vector<std::string> addresses;  // Services: how clients reach it.
};

// The membership stored in a machine's folder. kNotFound: it never joined; kDataLoss: the file
// cannot be read, and the message says what to do.
absl::StatusOr<auth::v1::EnrolResponse> LoadMembership(const std::string& folder);

// A machine's membership: the stored one, or a new one from the join token. A crash in between
// costs nothing, because the same token enrols the same keys again. kFailedPrecondition: neither a
// membership nor a token is there; the message says how to get one.
absl::StatusOr<auth::v1::EnrolResponse> LoadOrJoin(const MachineIdentity& identity,
                                                   const JoinOptions& options);

// The same for a machine that may come up before the control plane: while that cannot be reached,
// it is tried again after `wait`, which answers whether to give up (kCancelled).
absl::StatusOr<auth::v1::EnrolResponse> LoadOrJoinPatiently(
    const MachineIdentity& identity, const JoinOptions& options,
    const std::function<bool(absl::Duration)>& wait);

// How a member machine calls a service: with its identity key.
absl::StatusOr<ChannelOptions> MachineChannel(const MachineIdentity& identity,
                                              const std::string& principal,
                                              const std::string& address,
                                              const std::string& ca_pem);

}  // namespace berth::rpc
