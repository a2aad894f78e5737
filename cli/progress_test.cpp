#include "cli/progress.h"

#include <catch2/catch.hpp>

#include "common/testing/printers.h"

namespace berth::cli {
namespace {

using scheduler::v1::Instance;
using scheduler::v1::Phase;

Instance InstanceIn(const std::string& id, Phase phase, const std::string& reason = "") {
  Instance instance;
  instance.set_id(id);
  instance.set_process_type("web");
  instance.set_release(3);
  instance.set_host("host-a");
  instance.mutable_observed()->set_phase(phase);
  instance.mutable_observed()->set_reason(reason);
  return instance;
}

EnvironmentView ViewWith(std::vector<Instance> instances) {
  EnvironmentView view;
  view.instances = std::move(instances);
  return view;
}

EnvironmentView ViewOfRollout(uint64_t promotion, scheduler::v1::RolloutPhase phase) {
  EnvironmentView view;
  view.rollout.emplace().set_promotion(promotion);
  view.rollout->set_phase(phase);
  return view;
}

TEST_CASE("a watch's entries become a view, ordered by process type", "[cli][progress]") {
  Instance worker = InstanceIn("a-worker", scheduler::v1::PHASE_READY);
  worker.set_process_type("worker");
  scheduler::v1::Rollout rollout;
  rollout.set_promotion(4);
  const auto view = ViewOf(
      {{"instance/a-worker", worker.SerializeAsString()},
       {"instance/web-2", InstanceIn("web-2", scheduler::v1::PHASE_READY).SerializeAsString()},
       {"rollout", rollout.SerializeAsString()},
       {"what is added some day", "?"}});
  REQUIRE(view.ok());
  CHECK(view->rollout->promotion() == 4);
  REQUIRE(view->instances.size() == 2);
  CHECK(view->instances[0].id() == "web-2");
  CHECK(view->Find("a-worker")->process_type() == "worker");
  CHECK(view->Find("web-3") == nullptr);

  CHECK(ViewOf({{"rollout", "\xff"}}).status().code() == absl::StatusCode::kDataLoss);
  CHECK_FALSE(ViewOf({})->rollout.has_value());
}

TEST_CASE("a rollout ends when its promotion succeeds, fails, or is replaced", "[cli][progress]") {
  using namespace scheduler::v1;
  CHECK_FALSE(EndOf(EnvironmentView(), 4));
  CHECK_FALSE(EndOf(ViewOfRollout(3, ROLLOUT_PHASE_SUCCEEDED), 4));
  CHECK_FALSE(EndOf(ViewOfRollout(3, ROLLOUT_PHASE_FAILED), 4));
  CHECK_FALSE(EndOf(ViewOfRollout(4, ROLLOUT_PHASE_RUNNING), 4));
  CHECK_FALSE(EndOf(ViewOfRollout(4, ROLLOUT_PHASE_UNSPECIFIED), 4));
  CHECK(EndOf(ViewOfRollout(4, ROLLOUT_PHASE_SUCCEEDED), 4) == RolloutEnd::kSucceeded);
  CHECK(EndOf(ViewOfRollout(4, ROLLOUT_PHASE_FAILED), 4) == RolloutEnd::kFailed);
  CHECK(EndOf(ViewOfRollout(5, ROLLOUT_PHASE_RUNNING), 4) == RolloutEnd::kReplaced);
}

TEST_CASE("only instances that are meant to serve are counted", "[cli][progress]") {
  Instance draining = InstanceIn("web-1", scheduler::v1::PHASE_READY);
  draining.set_draining(true);
  Instance stopping = InstanceIn("web-2", scheduler::v1::PHASE_READY);
  stopping.set_intent(scheduler::v1::INTENT_STOP);
  const Readiness readiness =
      ReadinessOf(ViewWith({draining, stopping, InstanceIn("web-3", scheduler::v1::PHASE_READY),
                            InstanceIn("web-4", scheduler::v1::PHASE_STARTING)}));
  CHECK(readiness.ready == 1);
  CHECK(readiness.total == 2);
}

TEST_CASE("a line is printed for each change and for nothing else", "[cli][progress]") {
  const EnvironmentView before = ViewWith({InstanceIn("web-1", scheduler::v1::PHASE_READY),
                                           InstanceIn("web-2", scheduler::v1::PHASE_STARTING),
                                           InstanceIn("web-3", scheduler::v1::PHASE_STARTING)});
  const EnvironmentView after =
      ViewWith({InstanceIn("web-2", scheduler::v1::PHASE_READY),
                InstanceIn("web-3", scheduler::v1::PHASE_STARTING),
                InstanceIn("web-4", scheduler::v1::PHASE_FAILED, "exited with 1")});
  CHECK(ChangeLines(before, after, absl::Milliseconds(1800)) ==
        std::vector<std::string>{"   1.8 s  web-2 on host-a: ready",
                                 "   1.8 s  web-4 on host-a: failed: exited with 1",
                                 "   1.8 s  web-1 on host-a: gone"});
  CHECK(ChangeLines(after, after, absl::Seconds(2)).empty());
}

TEST_CASE("a terminal shows every instance under what is waited for", "[cli][progress]") {
  EnvironmentView view = ViewWith({InstanceIn("web-1", scheduler::v1::PHASE_READY),
                                   InstanceIn("web-long", scheduler::v1::PHASE_PULLING)});
  view.rollout.emplace().set_phase(scheduler::v1::ROLLOUT_PHASE_RUNNING);
  view.rollout->set_reason("waits for web-long");
  CHECK(StatusLines(view, "home/notes/production release 3", absl::Seconds(2), 80) ==
        std::vector<std::string>{"home/notes/production release 3  2.0 s  waits for web-long",
                                 "  web-1     host-a  release 3  ready",
                                 "  web-long  host-a  release 3  pulling"});
  for (const std::string& line : StatusLines(view, "title", absl::Seconds(2), 10)) {
    CHECK(line.size() <= 10);
  }
}

// What Progress writes into a file that is no terminal.
std::string Written(Progress::Style style) {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  Progress progress(style, "title", file);
  progress.Show(ViewWith({InstanceIn("web-1", scheduler::v1::PHASE_STARTING)}), absl::Seconds(1));
  progress.Show(ViewWith({InstanceIn("web-1", scheduler::v1::PHASE_READY)}), absl::Seconds(2));
  progress.Finish();
  std::rewind(file);
  char buffer[1000];
  const std::string text(buffer, std::fread(buffer, 1, sizeof(buffer), file));
  std::fclose(file);
  return text;
}

TEST_CASE("progress is silent, a line for each change, or redrawn in place", "[cli][progress]") {
  CHECK(Written(Progress::Style::kNone).empty());
  CHECK(Written(Progress::Style::kLines) ==
        "   1.0 s  web-1 on host-a: starting\n"
        "   2.0 s  web-1 on host-a: ready\n");
  CHECK(Written(Progress::Style::kRedraw) ==
        "title  1.0 s\n  web-1  host-a  release 3  starting\n"
        "\x1b[2A\r\x1b[J"
        "title  2.0 s\n  web-1  host-a  release 3  ready\n"
        "\x1b[2A\r\x1b[J");
}

}  // namespace
}  // namespace berth::cli
