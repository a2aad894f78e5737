#include "services/edge_router/state.h"

#include <catch2/catch.hpp>

#include "common/testing/printers.h"

namespace berth::edge_router {
namespace {

constexpr char kNotes[] = "home/notes/production";
constexpr char kShop[] = "home/shop/production";

config::v1::Route TlsRoute(const std::string& hostname, const std::string& process = "web") {
  config::v1::Route route;
  route.mutable_tls()->set_port(443);
  route.mutable_tls()->set_hostname(hostname);
  route.mutable_to()->set_process(process);
  route.mutable_to()->set_port("http");
  return route;
}

config::v1::Route TcpRoute(uint32_t port) {
  config::v1::Route route;
  route.mutable_tcp()->set_port(port);
  route.mutable_to()->set_process("web");
  route.mutable_to()->set_port("http");
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
  environment.mutable_desired()->mutable_manifest()->mutable_routes()->insert(routes.begin(),
                                                                              routes.end());
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
    const auto decision = state.Decide(import);
    REQUIRE(decision.status() == absl::OkStatus());
    for (const v1::Event& event : decision->events) {
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
    return static_cast<int>(decision->events.size());
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

  State state;
  uint64_t position = 0;
};

constexpr auto kRunning = config::v1::ROLLOUT_STATE_RUNNING;
constexpr auto kSucceeded = config::v1::ROLLOUT_STATE_SUCCEEDED;

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

}  // namespace
}  // namespace berth::edge_router
