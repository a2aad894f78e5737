#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace berth::rpc {

// The only mapping between our errors and gRPC's. Every error gets an ErrorInfo: its reason, or the
// name of its code. Details travel as google.rpc.Status in the trailer.
grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace berth::rpc
