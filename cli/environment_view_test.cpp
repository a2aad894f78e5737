#include "cli/environment_view.h"

#include <catch2/catch.hpp>

namespace berth::cli {
namespace {

// A restart of web, named 7, of two replicas.
scheduler::v1::RestartResponse Restart() {
  scheduler::v1::RestartResponse restart;
  restart.add_process_types("web");
  restart.set_restart(7);
  restart.set_replicas(2);
  restart.set_promotion(3);
  return restart;
}

scheduler::v1::Instance& Add(const std::string& type, uint64_t restart, EnvironmentView* view) {
  scheduler::v1::Instance& instance = view->instances.emplace_back();
  instance.set_process_type(type);
  instance.set_restart(restart);
  instance.mutable_observed()->set_phase(scheduler::v1::PHASE_READY);
  return instance;
}

TEST_CASE("a restart has ended once all are new and ready, or one cannot be",
          "[cli][environment-view]") {
  EnvironmentView view;
  CHECK(EndOf(view, Restart()) == std::nullopt);
  view.rollout.emplace().set_promotion(3);
  Add("worker", 0, &view);  // Not asked for.
  Add("web", 7, &view);
  CHECK(EndOf(view, Restart()) == std::nullopt);

  SECTION("an old one is left") {
    Add("web", 7, &view);
    Add("web", 6, &view);
    CHECK(EndOf(view, Restart()) == std::nullopt);
  }
  SECTION("a new one is not ready") {
    Add("web", 7, &view).mutable_observed()->set_phase(scheduler::v1::PHASE_STARTING);
    CHECK(EndOf(view, Restart()) == std::nullopt);
  }
  SECTION("all are new, by this restart or a later one") {
    Add("web", 8, &view);
    CHECK(EndOf(view, Restart()) == RestartEnd::kDone);
  }
  SECTION("a new one has given up") {
    Add("web", 7, &view).set_given_up(true);
    CHECK(EndOf(view, Restart()) == RestartEnd::kFailed);
  }
  SECTION("an old one had given up") {
    Add("web", 6, &view).set_given_up(true);
    CHECK(EndOf(view, Restart()) == std::nullopt);
  }
  SECTION("there is no room") {
    view.rollout->set_reason("no host can take it");
    CHECK(EndOf(view, Restart()) == RestartEnd::kNoRoom);
  }
  SECTION("a newer promotion") {
    view.rollout->set_promotion(4);
    CHECK(EndOf(view, Restart()) == RestartEnd::kReplaced);
  }
}

}  // namespace
}  // namespace berth::cli
