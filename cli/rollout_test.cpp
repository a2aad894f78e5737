#include "cli/rollout.h"

#include <catch2/catch.hpp>

namespace berth::cli {
namespace {

Promotion ReleaseThree() {
  Promotion promotion;
  promotion.environment.set_org("home");
  promotion.environment.set_app("notes");
  promotion.environment.set_env("production");
  promotion.release = 3;
  promotion.number = 5;
  return promotion;
}

TEST_CASE("a success says how many are ready and where they are reached", "[cli][rollout]") {
  EnvironmentView view;
  for (const std::string id : {"web-1", "web-2", "worker-1"}) {
    scheduler::v1::Instance& instance = view.instances.emplace_back();
    instance.set_id(id);
    instance.set_release(3);
    instance.set_address(std::string("\xfd", 1) + std::string(15, '\0'));
    instance.mutable_observed()->set_phase(scheduler::v1::PHASE_READY);
    if (id != "worker-1") (*instance.mutable_ports())["http"] = 8080;
  }
  view.instances[1].set_draining(true);
  CHECK(RolloutSuccess(ReleaseThree(), view, absl::Milliseconds(1800)) ==
        "release 3 is live: 2/2 ready in 1.8 s\n"
        "  web-1  [fd00::]:8080\n");
}

TEST_CASE("a failure says why, what was printed, and what still serves", "[cli][rollout]") {
  scheduler::v1::Rollout rollout;
  rollout.set_reason("web failed 3 times");
  scheduler::v1::InstanceReport& failed = *rollout.mutable_failed_instance();
  failed.set_instance("web-1");
  failed.set_exit_code(1);
  failed.set_reason("exited");
  failed.add_log_tail("listening");
  failed.add_log_tail("no database");
  CHECK(RolloutFailure(ReleaseThree(), rollout, 2) ==
        "release 3 failed: web failed 3 times\n"
        "  web-1 exited with 1: exited\n"
        "  | listening\n"
        "  | no database\n"
        "release 2 still serves");
}

TEST_CASE("a first release that fails leaves nothing that serves", "[cli][rollout]") {
  scheduler::v1::Rollout rollout;
  rollout.set_reason("the deadline passed");
  CHECK(RolloutFailure(ReleaseThree(), rollout, 0) ==
        "release 3 failed: the deadline passed\nno release serves");
}

TEST_CASE("what was taken away is said to be gone", "[cli][rollout]") {
  Promotion promotion = ReleaseThree();
  promotion.release = 0;
  CHECK(RolloutSuccess(promotion, EnvironmentView(), absl::Seconds(2)) ==
        "home/notes/production is gone after 2.0 s\n");
}

}  // namespace
}  // namespace berth::cli
