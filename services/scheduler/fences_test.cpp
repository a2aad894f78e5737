#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "services/scheduler/model_fleet.h"

namespace berth::scheduler {
namespace {

using Catch::Contains;

constexpr char kFirst[] = "registry.example/notes@sha256:1";
constexpr char kSecond[] = "registry.example/notes@sha256:2";

// A release of the image with one replica of web, and a route to it.
config::v1::Release Routed(const std::string& image) {
  config::v1::Release release = Fleet::Release(image, 1);
  (*release.mutable_manifest()->mutable_routes())["web"].mutable_to()->set_process("web");
  return release;
}

// kFirst serves behind two edges, and kSecond is promoted and ready.
struct Rollout {
  Rollout() {
    fleet.AddHost("alpha", 1000 * kMiB);
    fleet.Promote(Routed(kFirst));
    fleet.AnswerRoutes();
    fleet.RunUntilQuiet();
    REQUIRE(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
    old = *fleet.Ids().begin();
    near.connections[old] = 3;
    fleet.Promote(Routed(kSecond));
    fleet.AnswerRoutes();
    fleet.Settle();
    for (const std::string& id : fleet.Ids()) {
      if (id != old) now = id;
    }
  }

  const Instance& Old() const { return fleet.EnvironmentOf().instances.at(old); }
  const Instance& New() const { return fleet.EnvironmentOf().instances.at(now); }
  bool IsGone(const std::string& id) const { return !fleet.Ids().contains(id); }

  Fleet fleet;
  Fleet::Edge& near = fleet.AddEdge("near");
  Fleet::Edge& far = fleet.AddEdge("far");
  std::string old;
  std::string now;
};

TEST_CASE("an old instance drains once every edge serves the new one, and stops once it is idle",
          "[scheduler][fences]") {
  Rollout rollout;
  Fleet& fleet = rollout.fleet;
  rollout.far.connected = false;
  fleet.Step();
  fleet.Step();
  REQUIRE(rollout.New().observed.phase() == v1::PHASE_READY);
  CHECK_FALSE(rollout.New().serving);
  CHECK_FALSE(rollout.Old().draining);
  rollout.far.connected = true;
  SECTION("which it is when every edge says so") {
    rollout.far.not_reached.insert(rollout.now);
    fleet.Step();
    CHECK_FALSE(rollout.Old().draining);
    rollout.far.not_reached.clear();
    fleet.Step();
    CHECK(rollout.New().serving);
    CHECK(rollout.Old().draining);
    fleet.Step();
    CHECK(rollout.Old().assignment.intent() == v1::INTENT_RUN);  // Three connections are open.
    rollout.near.connections.clear();
    fleet.RunUntilQuiet();
    CHECK(rollout.IsGone(rollout.old));
    CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
  }
  SECTION("or its time is up") {
    fleet.Step();
    REQUIRE(rollout.Old().draining);
    const absl::Time deadline = rollout.Old().drain_deadline;
    CHECK(deadline == fleet.now() + kDrainDeadline);
    fleet.Pass(deadline - fleet.now() - absl::Nanoseconds(1));
    CHECK(rollout.Old().assignment.intent() == v1::INTENT_RUN);
    fleet.Pass(absl::Nanoseconds(1));
    CHECK(rollout.Old().assignment.intent() == v1::INTENT_STOP);
  }
  SECTION("and an edge that a person excludes is waited for no more") {
    rollout.far.connected = false;
    fleet.ExcludeEdge("far");
    fleet.Step();
    CHECK(rollout.Old().draining);
    CHECK(fleet.state().EdgesOf("acme", {}).edges(0).excluded());
    fleet.IncludeEdge("far");
    CHECK(fleet.state().WaitsForEdges());
    CHECK_FALSE(fleet.state().EdgesOf("acme", {}).edges(0).excluded());
  }
  SECTION("and an edge that is removed is waited for no more") {
    rollout.far.connected = false;
    fleet.RemoveEdge("far");
    fleet.Step();
    CHECK(rollout.Old().draining);
  }
  fleet.scenario().CheckReplay();
}

TEST_CASE("a new instance that an edge cannot reach fails its rollout at the deadline",
          "[scheduler][fences]") {
  Rollout rollout;
  Fleet& fleet = rollout.fleet;
  rollout.far.not_reached.insert(rollout.now);
  fleet.Step();
  fleet.Step();
  rollout.near.connections[rollout.now] = 1;
  fleet.Pass(kRolloutDeadline);
  REQUIRE(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_FAILED);
  CHECK_THAT(fleet.RolloutOf().reason, Contains("not every edge has acknowledged it"));
  CHECK_FALSE(rollout.Old().draining);
  // It returns; the connection that an edge has made to the new one may end by itself.
  fleet.Step();
  fleet.AnswerRoutes();
  fleet.Step();
  fleet.Step();
  REQUIRE(rollout.New().draining);
  CHECK(rollout.New().assignment.intent() == v1::INTENT_RUN);
  rollout.near.connections.erase(rollout.now);
  fleet.RunUntilQuiet();
  CHECK(rollout.IsGone(rollout.now));
  CHECK_FALSE(rollout.Old().draining);
  CHECK(fleet.CurrentRelease() == 1);
}

TEST_CASE("an instance that never took a connection stops at once", "[scheduler][fences]") {
  Rollout rollout;
  Fleet& fleet = rollout.fleet;
  rollout.near.connected = false;  // Nobody would answer for it.
  SECTION("because it was not ready yet") {
    fleet.Behave(kSecond, Behaviour::kStartsForEver);
    fleet.Step();
    fleet.Promote(Routed("registry.example/notes@sha256:3"));
    fleet.AnswerRoutes();
    fleet.Step();
    CHECK(rollout.IsGone(rollout.now));
    CHECK_FALSE(rollout.Old().draining);
  }
  SECTION("because it failed") {
    fleet.Step();
    fleet.Step();
    REQUIRE(rollout.New().observed.phase() == v1::PHASE_READY);
    fleet.Crash(rollout.now);
    fleet.Step();
    fleet.AnswerRoutes();
    fleet.RunUntilQuiet();
    CHECK(rollout.IsGone(rollout.now));
    CHECK_FALSE(rollout.Old().draining);
    CHECK(fleet.RolloutFailures().size() == 1);
  }
}

TEST_CASE("a route that is refused fails the rollout", "[scheduler][fences]") {
  Rollout rollout;
  Fleet& fleet = rollout.fleet;
  fleet.AnswerRoutes({{"web", "notes.example is org globex's"}});
  fleet.Settle();
  REQUIRE(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_FAILED);
  CHECK_THAT(fleet.RolloutOf().reason, Contains("route web") && Contains("globex"));
  CHECK_FALSE(rollout.Old().draining);
}

TEST_CASE("a rollout is not done before the edge-router has answered", "[scheduler][fences]") {
  Fleet fleet;
  fleet.AddHost("alpha", 1000 * kMiB);
  fleet.Promote(Routed(kFirst));
  fleet.RunUntilQuiet();
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_RUNNING);
  fleet.AnswerRoutes();
  fleet.RunUntilQuiet();
  CHECK(fleet.RolloutOf().phase == v1::ROLLOUT_PHASE_SUCCEEDED);
}

}  // namespace
}  // namespace berth::scheduler
