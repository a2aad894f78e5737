#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "integration/simulation/random.h"
#include "integration/simulation/trace.h"

namespace berth::simulation {

class Life;

// Steps that run one after another: one of a process's threads. A lane that is busy (its step waits
// for a disk) or whose process is stopped holds what becomes due until it goes on.
struct Lane {
  bool busy = false;
};

// What a failed BERTH_CHECK throws here instead of ending the program: it ends one process.
struct ProcessAborted {
  std::string why;
};

// One queue of everything that will happen, on virtual time, and all chance from one seed. Every
// step runs on the caller's thread; nothing else moves. One world at a time.
class World {
 public:
  using Step = std::function<void()>;

  explicit World(uint64_t seed);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // The one that exists; nullptr: none.
  static World* Current();

  Random& random() { return random_; }
  Trace& trace() { return trace_; }
  absl::Duration now() const { return now_; }

  // Runs `step` after `delay`, as the world's own (faults, checks).
  void After(absl::Duration delay, Step step) {
    Add(now_ + delay, nullptr, nullptr, std::move(step));
  }

  // Runs `step` at `at` as a step of `life`, unless that has ended by then. `lane` may be nullptr:
  // then only a stopped process holds it up. It outlives the life.
  void Add(absl::Duration at, std::shared_ptr<Life> life, Lane* lane, Step step);

  // Runs what is due until `end`, or until something failed.
  void RunUntil(absl::Duration end);

  // Lets `duration` pass inside a step: its lane does nothing else meanwhile, and the rest of the
  // world goes on. Where too many wait inside each other, no time passes.
  void Block(absl::Duration duration);

  // The same, while the whole process stands still, as SIGSTOP does it.
  void StopInside(absl::Duration duration);

  // Drops what is due for a life that has ended.
  void Forget(const Life* life);
  // Goes on with what a lane or a process held.
  void Release(Lane* lane);
  void Release(const Life* life);

  // Whose step runs now; nullptr: the world's own.
  Life* running() const { return running_.get(); }

  // A promise was broken: the run ends, and this is why. The first one counts.
  void Fail(std::string why);
  const std::optional<std::string>& failure() const { return failure_; }

  uint64_t steps() const { return steps_; }

 private:
  static constexpr int kWaitsInsideMax = 6;

  struct Event {
    std::shared_ptr<Life> life;
    Lane* lane;
    Step step;
  };

  void Run(Event event);
  bool RunNext(absl::Duration end);

  Random random_;
  Trace trace_;
  absl::Duration now_;
  uint64_t added_ = 0;
  uint64_t steps_ = 0;
  int waits_inside_ = 0;
  std::map<std::pair<absl::Duration, uint64_t>, Event> due_;
  std::vector<Event> held_;  // By a busy lane or a stopped process, in order.
  std::shared_ptr<Life> running_;
  Lane* running_lane_ = nullptr;
  std::optional<std::string> failure_;
};

}  // namespace berth::simulation
