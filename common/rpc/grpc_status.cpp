#include "common/rpc/grpc_status.h"

#include "absl/strings/cord.h"
#include "common/status/error_details.h"
#include "common/text/utf8.h"
#include "google/rpc/status.pb.h"

namespace berth::rpc {

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  absl::Status full = status;
  if (ReasonOf(full).empty()) {
    full = WithReason(std::move(full), absl::StatusCodeToString(status.code()));
  }
  google::rpc::Status details;
  details.set_code(static_cast<int>(full.code()));
  details.set_message(ToUtf8(full.message()));
  full.ForEachPayload([&](absl::string_view type_url, const absl::Cord& payload) {
    google::protobuf::Any* detail = details.add_details();
    detail->set_type_url(std::string(type_url));
    detail->set_value(std::string(payload));
  });
  return grpc::Status(static_cast<grpc::StatusCode>(full.code()), details.message(),
                      details.SerializeAsString());
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status ours(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& detail : details.details()) {
      ours.SetPayload(detail.type_url(), absl::Cord(detail.value()));
    }
  }
  return ours;
}

}  // namespace berth::rpc
