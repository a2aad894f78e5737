#include "integration/simulation/edge_router_workload.h"

#include "absl/strings/str_cat.h"
#include "berth/edge_router/v1/edge_router.pb.h"
#include "common/check/check.h"
#include "integration/simulation/config_workload.h"
#include "integration/simulation/identities.h"

namespace berth::simulation {
namespace {

constexpr uint64_t kStandingRoutes = 3;
constexpr uint32_t kTlsPort = 443;

std::string RouteName(Random* random) {
  return absl::StrCat("standing-", random->Below(kStandingRoutes));
}

Asked AskToUnroute(Random* random) {
  edge_router::v1::DeleteRouteRequest request;
  *request.mutable_environment() = AnyEnvironment(random);
  // Now and then one that a manifest declares.
  request.set_name(random->Chance(200) ? "public" : RouteName(random));
  return Command(request);
}

}  // namespace

Asked AskToRoute(Random* random) {
  edge_router::v1::CreateRouteRequest request;
  *request.mutable_environment() = AnyEnvironment(random);
  request.set_name(RouteName(random));
  // Few names, so that environments meet each other.
  config::v1::Route& route = *request.mutable_route();
  route.mutable_tls()->set_port(kTlsPort);
  route.mutable_tls()->set_hostname(AnyHostname(random));
  route.set_proxy_protocol(config::v1::PROXY_PROTOCOL_NONE);
  route.mutable_to()->set_process("web");
  route.mutable_to()->set_port("http");
  return Command(request);
}

Asked AskRoutes() {
  edge_router::v1::ListRoutesRequest request;
  request.set_org(kOrg);
  return Question(request);
}

std::optional<Asked> AskEdgeRouter(Random* random) {
  const uint64_t choice = random->Below(100);
  if (choice < 40) return AskToRoute(random);
  if (choice < 60) return AskToUnroute(random);
  return AskRoutes();
}

absl::StatusOr<std::string> AnswerOfEdgeRouter(const edge_router::State& state,
                                               const Operation& question) {
  edge_router::v1::ListRoutesRequest request;
  BERTH_CHECK(request.ParseFromString(question.request));
  return state.RoutesOf(request.org()).SerializeAsString();
}

}  // namespace berth::simulation
