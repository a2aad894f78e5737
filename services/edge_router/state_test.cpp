#include "services/edge_router/state.h"

#include <catch2/catch.hpp>

#include "common/testing/printers.h"
#include "common/testing/scenario.h"

namespace berth::edge_router {
namespace {

constexpr char kNotes[] = "home/notes/production";
constexpr char kShop[] = "home/shop/production";
constexpr auto kRunning = config::v1::ROLLOUT_STATE_RUNNING;
constexpr auto kSucceeded = config::v1::ROLLOUT_STATE_SUCCEEDED;

config::v1::Route TlsRoute(const std::string& hostname, const std::string& process = "web",
                           uint32_t port = 443) {
  config::v1::Route route;
  route.mutable_tls()->set_port(port);
  route.mutable_tls()->set_hostname(hostname);
  route.mutable_to()->set_process(process);
  route.mutable_to()->set_port("http");
  route.set_proxy_protocol(config::v1::PROXY_PROTOCOL_NONE);
  return route;
}

config::v1::Route TcpRoute(uint32_t port) {
  config::v1::Route route;
  route.mutable_tcp()->set_port(port);
  route.mutable_to()->set_process("web");
  route.mutable_to()->set_port("http");
  route.set_proxy_protocol(config::v1::PROXY_PROTOCOL_NONE);
  return route;
}

config::v1::Environment Wanted(const std::string& app, uint64_t promotion,
                               const std::map<std::string, config::v1::Route>& routes,
                               config::v1::RolloutState rollout) {
  config::v1::Environment environment;
  environment.mutable_name()->set_org("home");
  environment.mutable_name()->set_app(app);
  environment.mutable_name()->set_env("production");
  environment.set_promotion(promotion);
  environment.set_rollout(rollout);
  config::v1::Manifest* manifest = environment.mutable_desired()->mutable_manifest();
  (*(*manifest->mutable_processes())["web"].mutable_ports())["http"].set_port(8080);
  manifest->mutable_routes()->insert(routes.begin(), routes.end());
  return environment;
}

scheduler::v1::Endpoint ReadyEndpoint(const std::string& instance, bool draining = false) {
  scheduler::v1::Endpoint endpoint;
  endpoint.set_instance(instance);
  endpoint.mutable_environment()->set_org("home");
  endpoint.mutable_environment()->set_app("notes");
  endpoint.mutable_environment()->set_env("production");
  endpoint.set_process_type("web");
  endpoint.set_address(std::string(16, '\x01'));
  (*endpoint.mutable_ports())["http"] = 8080;
  endpoint.set_draining(draining);
  return endpoint;
}

// A state that is driven as the service drives it; every view is checked against the entries.
struct Router {
  // The events the import made.
  int Import(const berth::Import& import) {
    DecisionContext context;
    context.principal = "service/edge-router";
    context.position = ++records;
    const auto decision = state.Decide(import, context);
    REQUIRE(decision.status() == absl::OkStatus());
    return Apply(decision->events);
  }

  absl::Status Create(const std::string& app, const std::string& name,
                      const config::v1::Route& route) {
    v1::CreateRouteRequest request;
    *request.mutable_environment() = Wanted(app, 0, {}, kSucceeded).name();
    request.set_name(name);
    *request.mutable_route() = route;
    DecisionContext context;
    context.principal = "user/ada";
    context.position = ++records;
    const auto decision = state.Decide(request, context);
    if (!decision.ok()) return decision.status();
    CHECK(decision->response.unchanged() == decision->events.empty());
    Apply(decision->events);
    return absl::OkStatus();
  }

  absl::Status Delete(const std::string& app, const std::string& name) {
    v1::DeleteRouteRequest request;
    *request.mutable_environment() = Wanted(app, 0, {}, kSucceeded).name();
    request.set_name(name);
    DecisionContext context;
    context.position = ++records;
    const auto decision = state.Decide(request, context);
    if (decision.ok()) Apply(decision->events);
    return decision.status();
  }

  int Apply(const std::vector<v1::Event>& events) {
    for (const v1::Event& event : events) {
      state.Apply(event);
      std::set<TopicKey> touched;
      state.Touched(event, &touched);
      for (const TopicKey& key : touched) {
        std::optional<std::string> entry;
        for (const auto& [name, value] : state.Entries(key.first)) {
          if (name == key.second) entry = value;
        }
        CHECK(state.View(key) == entry);
      }
    }
    return static_cast<int>(events.size());
  }

  int Config(const std::string& key, const config::v1::Environment& environment) {
    berth::Import import;
    import.source = State::kConfigSource;
    import.revision.set_position(++position);
    import.changes[key] = environment.SerializeAsString();
    return Import(import);
  }

  int Scheduler(const std::string& instance, std::optional<scheduler::v1::Endpoint> endpoint) {
    berth::Import import;
    import.source = State::kSchedulerSource;
    import.revision.set_position(++position);
    import.changes[instance] =
        endpoint.has_value() ? std::optional(endpoint->SerializeAsString()) : std::nullopt;
    return Import(import);
  }

  // "owned" and "refused" routes of the environment, by name.
  std::string Routes(const std::string& app) {
    std::string text;
    const v1::ListRoutesResponse response = state.RoutesOf("home");
    for (const v1::RouteInfo& route : response.routes()) {
      if (route.environment().app() != app) continue;
      text += route.name() + (route.refused().empty() ? "" : " refused: " + route.refused()) + ";";
    }
    return text;
  }

  v1::RouteInfo Route(const std::string& app, const std::string& name) const {
    const v1::ListRoutesResponse response = state.RoutesOf("home");
    for (const v1::RouteInfo& route : response.routes()) {
      if (route.environment().app() == app && route.name() == name) return route;
    }
    return {};
  }

  v1::EnvironmentRoutes RouteStates(const std::string& environment) const {
    v1::EnvironmentRoutes routes;
    const auto value = state.View({State::kRouteStatesTopic, environment});
    REQUIRE(value.has_value());
    REQUIRE(routes.ParseFromString(*value));
    return routes;
  }

  State state;
  uint64_t position = 0;
  uint64_t records = 0;
};

TEST_CASE("a hostname belongs to the first environment that asks for it", "[edge_router][state]") {
  Router router;
  router.Config(kNotes, Wanted("notes", 1, {{"site", TlsRoute("a.example.com")}}, kSucceeded));
  SECTION("another one is refused and told whose it is") {
    router.Config(kShop, Wanted("shop", 1, {{"site", TlsRoute("a.example.com")}}, kRunning));
    CHECK(router.Routes("shop") ==
          "site refused: hostname a.example.com on port 443 belongs to home/notes/production;");
  }
  SECTION("another hostname on the same port is not") {
    router.Config(kShop, Wanted("shop", 1, {{"site", TlsRoute("b.example.com")}}, kRunning));
    CHECK(router.Routes("shop") == "site;");
  }
  SECTION("a raw port cannot swallow the hostnames of another") {
    router.Config(kShop, Wanted("shop", 1, {{"raw", TcpRoute(443)}}, kRunning));
    CHECK(router.Routes("shop") == "raw refused: port 443 is used by home/notes/production;");
  }
  SECTION("it is free again once its owner's release does not ask for it any more") {
    router.Config(kNotes, Wanted("notes", 2, {}, kSucceeded));
    CHECK(router.Routes("notes").empty());
    router.Config(kShop, Wanted("shop", 1, {{"site", TlsRoute("a.example.com")}}, kRunning));
    CHECK(router.Routes("shop") == "site;");
  }
}

TEST_CASE("of environments that come at once, one gets the hostname that both ask for",
          "[edge_router][state]") {
  Router router;
  berth::Import import;
  import.source = State::kConfigSource;
  import.revision.set_position(1);
  const std::map<std::string, config::v1::Route> routes = {{"public", TlsRoute("a.example.com")}};
  import.changes[kNotes] = Wanted("notes", 1, routes, kRunning).SerializeAsString();
  import.changes[kShop] = Wanted("shop", 1, routes, kRunning).SerializeAsString();
  router.Import(import);
  const v1::ListRoutesResponse listed = router.state.RoutesOf("home");
  REQUIRE(listed.routes_size() == 2);
  CHECK(listed.routes(0).refused().empty() != listed.routes(1).refused().empty());
}

TEST_CASE("nothing is taken from the release that serves while a rollout runs",
          "[edge_router][state]") {
  Router router;
  router.Config(kNotes, Wanted("notes", 1, {{"site", TlsRoute("a.example.com")}}, kSucceeded));
  router.Config(
      kNotes,
      Wanted("notes", 2, {{"site", TlsRoute("a.example.com", "next")}, {"raw", TcpRoute(7000)}},
             kRunning));
  CHECK(router.Routes("notes") == "raw;site;");
  const auto target = [&] {
    const v1::ListRoutesResponse response = router.state.RoutesOf("home");
    for (const v1::RouteInfo& route : response.routes()) {
      if (route.name() == "site") return route.route().to().process();
    }
    return std::string("none");
  };
  CHECK(target() == "web");
  router.Config(
      kNotes,
      Wanted("notes", 2, {{"site", TlsRoute("a.example.com", "next")}, {"raw", TcpRoute(7000)}},
             kSucceeded));
  CHECK(target() == "next");
}

TEST_CASE("a table shows the endpoints of its routes and how new they are",
          "[edge_router][state]") {
  Router router;
  router.Config(kNotes, Wanted("notes", 1, {{"site", TlsRoute("a.example.com")}}, kSucceeded));
  router.Scheduler("web-1", ReadyEndpoint("web-1"));
  const auto upstreams = [&] {
    v1::TableRoute route;
    const auto value = router.state.View({State::kTableTopic, "route/home/notes/production/site"});
    REQUIRE(value.has_value());
    REQUIRE(route.ParseFromString(*value));
    return route;
  };
  REQUIRE(upstreams().upstreams_size() == 1);
  CHECK(upstreams().upstreams(0).port() == 8080);
  CHECK_FALSE(upstreams().upstreams(0).draining());
  router.Scheduler("web-1", ReadyEndpoint("web-1", true));
  CHECK(upstreams().upstreams(0).draining());
  router.Scheduler("web-1", std::nullopt);
  CHECK(upstreams().upstreams_size() == 0);
  watch::v1::Revision shown;
  REQUIRE(shown.ParseFromString(*router.state.View({State::kTableTopic, "scheduler"})));
  CHECK(shown.position() == router.position);
}

TEST_CASE("a standing route serves whatever is released", "[edge_router][state]") {
  Router router;
  router.Config(kNotes, Wanted("notes", 1, {}, kSucceeded));
  router.Scheduler("web-1", ReadyEndpoint("web-1"));
  REQUIRE(router.Create("notes", "extra", TcpRoute(7000)) == absl::OkStatus());
  CHECK(router.Route("notes", "extra").upstreams_size() == 1);
  CHECK(router.Route("notes", "extra").standing());
  CHECK(router.Route("notes", "extra").record().actor() == "user/ada");
  CHECK(router.RouteStates(kNotes).standing().contains("extra"));
  CHECK(router.RouteStates(kNotes).promotion() == 1);
  SECTION("made again, nothing is new") {
    CHECK(router.Create("notes", "extra", TcpRoute(7000)) == absl::OkStatus());
  }
  SECTION("a release neither takes nor changes it") {
    const v1::RouteInfo before = router.Route("notes", "extra");
    router.Config(kNotes, Wanted("notes", 2, {{"site", TlsRoute("a.example.com")}}, kRunning));
    router.Config(kNotes, Wanted("notes", 2, {{"site", TlsRoute("a.example.com")}}, kSucceeded));
    router.Config(kNotes, Wanted("notes", 3, {}, kSucceeded));
    CHECK(router.Route("notes", "extra").SerializeAsString() == before.SerializeAsString());
    CHECK(router.Routes("notes") == "extra;");
  }
  SECTION("it is deleted, and free for others") {
    CHECK(router.Delete("notes", "extra") == absl::OkStatus());
    CHECK(router.Routes("notes").empty());
    CHECK(router.RouteStates(kNotes).standing().empty());
    router.Config(kShop, Wanted("shop", 1, {{"raw", TcpRoute(7000)}}, kRunning));
    CHECK(router.Routes("shop") == "raw;");
    CHECK(absl::IsNotFound(router.Delete("notes", "extra")));
  }
  SECTION("it goes with its environment, once nothing runs there any more") {
    config::v1::Environment deleted = Wanted("notes", 2, {}, kRunning);
    deleted.set_deleted(true);
    deleted.clear_desired();
    router.Config(kNotes, deleted);
    CHECK(router.Routes("notes") == "extra;");
    CHECK(absl::IsNotFound(router.Create("notes", "more", TcpRoute(7001))));
    deleted.set_rollout(kSucceeded);
    router.Config(kNotes, deleted);
    CHECK(router.Routes("notes").empty());
  }
}

TEST_CASE("a standing route is not made where somebody has it", "[edge_router][state]") {
  Router router;
  router.Config(kNotes, Wanted("notes", 1, {{"site", TlsRoute("a.example.com")}}, kSucceeded));
  router.Config(kShop, Wanted("shop", 1, {}, kSucceeded));
  auto message = [](const absl::Status& status) {
    CHECK(absl::IsAlreadyExists(status));
    return std::string(status.message());
  };
  CHECK(message(router.Create("shop", "mine", TlsRoute("a.example.com"))) ==
        "hostname a.example.com on port 443 belongs to home/notes/production");
  CHECK_THAT(message(router.Create("notes", "mine", TlsRoute("a.example.com"))),
             Catch::Contains("belongs to route site of home/notes/production"));
  CHECK_THAT(message(router.Create("notes", "site", TcpRoute(7000))),
             Catch::Contains("which its manifest declares"));
  REQUIRE(router.Create("notes", "extra", TcpRoute(7000)) == absl::OkStatus());
  CHECK_THAT(message(router.Create("notes", "extra", TcpRoute(7001))),
             Catch::Contains("berth route delete extra --app notes --env production"));
  CHECK_THAT(message(router.Create("notes", "again", TlsRoute("b.example.com", "web", 7000))),
             Catch::Contains("belongs to route extra"));
  CHECK(message(router.Create("shop", "mine", TcpRoute(7000))) ==
        "port 7000 belongs to home/notes/production");
}

TEST_CASE("a standing route has to lead somewhere", "[edge_router][state]") {
  Router router;
  router.Config(kNotes, Wanted("notes", 1, {}, kSucceeded));
  CHECK(absl::IsNotFound(router.Create("shop", "extra", TcpRoute(7000))));
  CHECK(absl::IsNotFound(router.Create("notes", "extra", TlsRoute("a.example.com", "worker"))));
  CHECK(absl::IsInvalidArgument(router.Create("notes", "Extra", TcpRoute(7000))));
  CHECK(absl::IsInvalidArgument(router.Create("notes", "extra", TcpRoute(0))));
  for (size_t i = 0; i < State::kStandingRoutesMax; ++i) {
    const uint32_t port = 7000 + static_cast<uint32_t>(i);
    REQUIRE(router.Create("notes", "r" + std::to_string(i), TcpRoute(port)) == absl::OkStatus());
  }
  CHECK(absl::IsResourceExhausted(router.Create("notes", "extra", TcpRoute(8000))));
}

TEST_CASE("a manifest's route is deleted by a deploy alone", "[edge_router][state]") {
  Router router;
  router.Config(kNotes, Wanted("notes", 1, {{"site", TlsRoute("a.example.com")}}, kSucceeded));
  const absl::Status refused = router.Delete("notes", "site");
  CHECK(absl::IsFailedPrecondition(refused));
  CHECK_THAT(std::string(refused.message()), Catch::Contains("berth.yaml"));
  CHECK(absl::IsNotFound(router.Delete("notes", "other")));
}

TEST_CASE("a manifest is refused what a standing route of its environment has",
          "[edge_router][state]") {
  Router router;
  router.Config(kNotes, Wanted("notes", 1, {}, kSucceeded));
  REQUIRE(router.Create("notes", "extra", TcpRoute(7000)) == absl::OkStatus());
  const std::string next =
      "; for the manifest to have it, delete that: berth route delete extra --app notes --env "
      "production;";
  router.Config(kNotes, Wanted("notes", 2, {{"mine", TcpRoute(7000)}}, kRunning));
  CHECK(router.Routes("notes") ==
        "extra;mine refused: port 7000 belongs to the standing route extra" + next);
  router.Config(kNotes, Wanted("notes", 3, {{"extra", TcpRoute(7001)}}, kRunning));
  CHECK(router.RouteStates(kNotes).refused().at("extra") + ";" ==
        "its name belongs to the standing route extra" + next);
  CHECK(router.Route("notes", "extra").route().tcp().port() == 7000);
}

TEST_CASE("an import that repeats what is known makes no event", "[edge_router][state]") {
  Router router;
  const auto wanted = Wanted("notes", 1, {{"site", TlsRoute("a.example.com")}}, kSucceeded);
  CHECK(router.Config(kNotes, wanted) > 0);
  CHECK(router.Config(kNotes, wanted) == 0);
}

TEST_CASE("what is missing from the scheduler's snapshot is gone", "[edge_router][state]") {
  Router router;
  router.Config(kNotes, Wanted("notes", 1, {{"site", TlsRoute("a.example.com")}}, kSucceeded));
  router.Scheduler("web-1", ReadyEndpoint("web-1"));
  berth::Import snapshot;
  snapshot.source = State::kSchedulerSource;
  snapshot.snapshot = true;
  snapshot.revision.set_position(99);
  CHECK(router.Import(snapshot) > 0);
  const v1::ListRoutesResponse response = router.state.RoutesOf("home");
  for (const v1::RouteInfo& route : response.routes()) {
    CHECK(route.upstreams_size() == 0);
  }
}

TEST_CASE("every state of edge-router that was ever saved is taken up", "[edge-router][stored]") {
  testing::CheckStoredStates<State>("edge_router");
}

}  // namespace
}  // namespace berth::edge_router
