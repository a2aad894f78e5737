#include "common/manifest/route.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "berth/edge_router/v1/edge_router.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "cli/commands/commands.h"
#include "cli/errors.h"
#include "cli/session.h"
#include "cli/wording.h"
#include "common/clock/system_clock.h"
#include "common/ids/names.h"
#include "common/manifest/hostname.h"

namespace berth::cli {
namespace {

using edge_router::v1::RouteInfo;
using scheduler::v1::Edge;

// How long edges that report are waited for, and how often it is looked.
constexpr absl::Duration kTakenUpMax = absl::Seconds(10);
constexpr absl::Duration kLookInterval = absl::Milliseconds(100);

struct CreateOptions {
  std::string name;
  std::string listen;
  std::string host;
  std::string to;
  std::string proxy_protocol;
};

absl::StatusOr<std::vector<Edge>> EdgesOf(const std::string& org, Session* session) {
  scheduler::v1::ListEdgesRequest request;
  request.set_org(org);
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<scheduler::v1::ListEdgesResponse>(request));
  return std::vector<Edge>(response.edges().begin(), response.edges().end());
}

// Why an edge does not listen where the route does; empty where it does, or nobody knows.
std::string ListenProblem(const Edge& edge, uint32_t port) {
  const auto problem = edge.listener_problems().find(port);
  return problem == edge.listener_problems().end() ? "" : problem->second;
}

std::string ProblemText(const RouteInfo& route, const std::vector<Edge>& edges) {
  if (!route.refused().empty()) return absl::StrCat("refused: ", route.refused());
  std::vector<std::string> problems;
  for (const Edge& edge : edges) {
    const std::string problem = ListenProblem(edge, PortOf(route.route()));
    if (!problem.empty()) problems.push_back(absl::StrCat(edge.name(), ": ", problem));
  }
  return absl::StrJoin(problems, "; ");
}

// The edges that have the route in their table.
std::vector<std::string> EdgesWith(const RouteInfo& route, const std::vector<Edge>& edges) {
  std::vector<std::string> names;
  for (const Edge& edge : edges) {
    if (route.refused().empty() && edge.table_position() >= route.record().position()) {
      names.push_back(edge.name());
    }
  }
  return names;
}

size_t ReadyUpstreams(const RouteInfo& route) {
  size_t ready = 0;
  for (const edge_router::v1::Upstream& upstream : route.upstreams()) {
    ready += upstream.draining() ? 0 : 1;
  }
  return ready;
}

absl::StatusOr<ExitCode> RunRouteList(Session* session) {
  edge_router::v1::ListRoutesRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<edge_router::v1::ListRoutesResponse>(request));
  BERTH_ASSIGN_OR_RETURN(const std::vector<Edge> edges, EdgesOf(request.org(), session));
  // An app that is only that of this folder narrows nothing: people ask what there is.
  const std::string& app = session->line().global().target.app;
  Json items = Json::array();
  Table table = {{"ROUTE", "APP", "ENV", "LISTEN", "TO", "READY", "EDGES", "FROM", "PROBLEM"}, {}};
  for (const RouteInfo& route : response.routes()) {
    if (!app.empty() && route.environment().app() != app) continue;
    const std::vector<std::string> serving = EdgesWith(route, edges);
    const std::string problem = ProblemText(route, edges);
    Json item = ToJson(route);
    item["edges"] = serving;
    item["problem"] = problem;
    items.push_back(item);
    table.rows.push_back({route.name(), route.environment().app(), route.environment().env(),
                          route.has_route() ? ListenText(route.route()) : "",
                          route.has_route() ? berth::ToString(route.route().to()) : "",
                          absl::StrCat(ReadyUpstreams(route)), absl::StrJoin(serving, " "),
                          route.standing() ? route.record().actor() : "manifest", problem});
  }
  session->output().List("RouteList", items, table,
                         absl::StrCat(request.org(),
                                      " has no such route. A manifest declares routes, and `berth "
                                      "route create` makes standing ones."));
  return ExitCode::kSuccess;
}

absl::StatusOr<config::v1::Route> RouteOf(const CreateOptions& options) {
  const std::optional<config::v1::Route> listener = ParseListener(options.listen);
  if (!listener.has_value()) {
    return UsageError("where does it listen? say so with --listen, as tls/443 or tcp/7000");
  }
  const std::optional<config::v1::RouteTarget> to = ParseRouteTarget(options.to);
  if (!to.has_value()) {
    return UsageError("where does it lead? say so with --to, as PROCESS.PORT, such as web.http");
  }
  config::v1::Route route = *listener;
  *route.mutable_to() = *to;
  if (route.has_tcp() && !options.host.empty()) {
    return UsageError("only a tls listener has a host; other connections do not name one");
  }
  if (route.has_tls()) {
    if (options.host.empty()) return UsageError("a tls listener takes a host name: --host");
    const absl::StatusOr<std::string> hostname = CanonicalHostname(options.host);
    if (!hostname.ok()) return UsageError(std::string(hostname.status().message()));
    route.mutable_tls()->set_hostname(*hostname);
  }
  if (options.proxy_protocol != "none" && options.proxy_protocol != "v2") {
    return UsageError("--proxy-protocol is none or v2");
  }
  route.set_proxy_protocol(options.proxy_protocol == "v2" ? config::v1::PROXY_PROTOCOL_V2
                                                          : config::v1::PROXY_PROTOCOL_NONE);
  return route;
}

// Waits until every edge that reports has the table of that position; says which have not.
absl::StatusOr<std::vector<Edge>> AwaitEdges(const std::string& org, uint64_t position,
                                             Session* session) {
  const SystemClock clock;
  const absl::Duration until = clock.Monotonic() + kTakenUpMax;
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const std::vector<Edge> edges, EdgesOf(org, session));
    std::vector<std::string> behind;
    for (const Edge& edge : edges) {
      const bool reports = edge.presence() == scheduler::v1::HOST_PRESENCE_UP;
      if (reports && edge.table_position() < position) behind.push_back(edge.name());
    }
    if (!behind.empty() && clock.Monotonic() < until) {
      BERTH_RETURN_IF_ERROR(Session::Pause(kLookInterval));
      continue;
    }
    if (!behind.empty()) {
      session->output().Say(absl::StrCat("not taken up yet by ", absl::StrJoin(behind, " "),
                                         "; see: berth route list"));
    }
    return edges;
  }
}

absl::StatusOr<ExitCode> RunRouteCreate(const CreateOptions& options, Session* session) {
  edge_router::v1::CreateRouteRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_route(), RouteOf(options));
  BERTH_ASSIGN_OR_RETURN(*request.mutable_environment(), session->Environment());
  request.set_name(options.name);
  BERTH_ASSIGN_OR_RETURN(const auto created,
                         session->Call<edge_router::v1::CreateRouteResponse>(request));
  BERTH_ASSIGN_OR_RETURN(const std::vector<Edge> edges,
                         AwaitEdges(request.environment().org(), created.position(), session));
  for (const Edge& edge : edges) {
    const std::string problem = ListenProblem(edge, PortOf(request.route()));
    if (problem.empty()) continue;
    session->output().Say(absl::StrCat("warning: edge ", edge.name(), " cannot listen on port ",
                                       PortOf(request.route()), ": ", problem));
  }
  if (edges.empty()) session->output().Say("no edge serves it yet; see: berth edge add");
  Json object = {{"environment", ToJson(request.environment())}, {"name", request.name()}};
  object["route"] = ToJson(request.route());
  object["unchanged"] = created.unchanged();
  session->output().Object("Route", object,
                           absl::StrCat(created.unchanged() ? "there already: " : "created ",
                                        "route ", request.name(), ": ", ListenText(request.route()),
                                        " leads to ", berth::ToString(request.environment()), " ",
                                        berth::ToString(request.route().to()), "\n"));
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunRouteDelete(const std::string& name, Session* session) {
  edge_router::v1::DeleteRouteRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_environment(), session->Environment());
  request.set_name(name);
  BERTH_ASSIGN_OR_RETURN(const auto deleted,
                         session->Call<edge_router::v1::DeleteRouteResponse>(request));
  BERTH_RETURN_IF_ERROR(
      AwaitEdges(request.environment().org(), deleted.position(), session).status());
  session->output().Object(
      "RouteDeleted", {{"environment", ToJson(request.environment())}, {"name", name}},
      absl::StrCat("deleted route ", name, " of ", berth::ToString(request.environment()), "\n"));
  return ExitCode::kSuccess;
}

}  // namespace

std::vector<Command> RouteCommands() {
  const auto create = std::make_shared<CreateOptions>();
  create->proxy_protocol = "none";
  const auto name = std::make_shared<std::string>();
  return {{.name = "route list",
           .summary = "List the routes of an org, or of an app, with the edges that have them",
           .example = "berth route list --app notes",
           .declare = nullptr,
           .run = RunRouteList},
          {.name = "route create",
           .summary = "Make a standing route, which releases neither create nor remove",
           .example = "berth route create extra --listen tcp/7000 --to web.http --app notes",
           .declare =
               [create](Arguments* arguments) {
                 arguments->RequiredPositional("ROUTE", &create->name, "its name");
                 arguments->Option("--listen", &create->listen, "LISTENER",
                                   "where edges take its connections: tls/PORT or tcp/PORT");
                 arguments->Option("--host", &create->host, "HOST",
                                   "the name that its TLS connections ask for");
                 arguments->Option("--to", &create->to, "PROCESS.PORT", "where they go");
                 arguments->Option("--proxy-protocol", &create->proxy_protocol, "VERSION",
                                   "how instances learn who connects: none (default) or v2");
               },
           .run = [create](Session* session) { return RunRouteCreate(*create, session); }},
          {.name = "route delete",
           .summary = "Delete a standing route",
           .example = "berth route delete extra --app notes",
           .declare =
               [name](Arguments* arguments) {
                 arguments->RequiredPositional("ROUTE", name.get(), "its name");
               },
           .run = [name](Session* session) { return RunRouteDelete(*name, session); }}};
}

}  // namespace berth::cli
