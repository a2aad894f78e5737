#pragma once

// Services for tests of what lies before a service: handlers that do as little as can be, and the
// members of a platform that call them.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "berth/auth/v1/auth.pb.h"
#include "berth/config/v1/config.pb.h"
#include "common/rpc/access_view.h"
#include "common/rpc/dispatcher.h"
#include "common/rpc/token.h"

namespace berth::rpc {

// The config service: every call succeeds with an empty answer, unless a handler is set.
class FakeConfig {
 public:
  FakeConfig(AccessView* access, Executor* executor, const Clock* clock)
      : dispatcher_(config::v1::DeployRequest::descriptor()->file()->service(0), access, executor,
                    clock, [this](CommandOrigin origin, absl::Status refusal, auto recorded) {
                      refusals.push_back(std::move(origin));
                      recorded(std::move(refusal));
                    }) {
    using namespace config::v1;
    Unary<DeployRequest, DeployResponse>();
    Unary<DeleteEnvironmentRequest, DeleteEnvironmentResponse>();
    Unary<RollbackRequest, RollbackResponse>();
    Unary<ScaleRequest, ScaleResponse>();
    Unary<GetEnvironmentRequest, GetEnvironmentResponse>();
    Unary<ListReleasesRequest, ListReleasesResponse>();
    Unary<ReportRolloutRequest, ReportRolloutResponse>();
    dispatcher_.Unary<ListEnvironmentsRequest, ListEnvironmentsResponse>(
        [this](const Call& call, const ListEnvironmentsRequest& request, auto reply) {
          if (list_environments == nullptr) return reply(ListEnvironmentsResponse());
          reply(list_environments(call, request));
        });
    dispatcher_.Streaming<WatchEnvironmentsRequest, watch::v1::WatchResponse>(
        [this](const Call&, const WatchEnvironmentsRequest& request,
               std::shared_ptr<Stream> stream) { watch_environments(request, stream); });
  }

  Dispatcher& dispatcher() { return dispatcher_; }

  // What is called, where it is set.
  std::function<absl::StatusOr<config::v1::ListEnvironmentsResponse>(
      const Call&, const config::v1::ListEnvironmentsRequest&)>
      list_environments;
  std::function<void(const config::v1::WatchEnvironmentsRequest&, std::shared_ptr<Stream>)>
      watch_environments;
  // The calls whose refusal was recorded.
  std::vector<CommandOrigin> refusals;

 private:
  template <typename Request, typename Response>
  void Unary() {
    dispatcher_.Unary<Request, Response>(
        [](const Call&, const Request&, auto reply) { reply(Response()); });
  }

  Dispatcher dispatcher_;
};

// What auth would say of a person with one role in the org acme, under the key principal/NAME.
inline std::string PersonWith(const std::string& name, auth::v1::Role role) {
  auth::v1::Principal principal;
  principal.set_name(name);
  auth::v1::RoleBinding* binding = principal.add_bindings();
  binding->set_org("acme");
  binding->set_role(role);
  return principal.SerializeAsString();
}

// A token of the person, until then; `secret` is any 32 bytes.
inline void SetToken(AccessView* access, const std::string& secret, const std::string& principal,
                     absl::Time expires) {
  auth::v1::Token token;
  token.set_principal(principal);
  token.mutable_expire_time()->set_seconds(absl::ToUnixSeconds(expires));
  access->Set(absl::StrCat("token/", absl::BytesToHexString(TokenHash(secret))),
              token.SerializeAsString());
}

inline void SetMachine(AccessView* access, const std::string& identity_key,
                       auth::v1::MachineKind kind, const std::string& name,
                       auth::v1::MachineStatus status = auth::v1::MACHINE_STATUS_ACTIVE) {
  auth::v1::Machine machine;
  machine.set_kind(kind);
  machine.set_name(name);
  machine.set_status(status);
  machine.mutable_keys()->set_identity(identity_key);
  access->Set(absl::StrCat("machine/", absl::BytesToHexString(identity_key)),
              machine.SerializeAsString());
}

}  // namespace berth::rpc
