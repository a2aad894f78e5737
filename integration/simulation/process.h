#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/executor/executor.h"
#include "common/ids/id_source.h"
#include "integration/simulation/random.h"
#include "integration/simulation/world.h"

namespace berth::simulation {

class Process;

// From a start of a process to its end: what its parts get for threads, time and chance.
class Life : public std::enable_shared_from_this<Life> {
 public:
  Life(World* world, Process* process);
  ~Life();

  World* world() const { return world_; }
  const std::string& name() const;

  // A thread of its own.
  Executor* NewExecutor();
  const Clock* clock() const { return clock_.get(); }
  IdSource* ids() { return ids_.get(); }

  // It is over: none of its steps runs any more.
  bool ended() const { return ended_; }
  // It was killed inside the step that still runs: nothing of what that does from here on happens.
  bool dying() const { return dying_; }
  bool stopped() const { return stopped_; }

  // Ends it now, or at once when the step that runs returns.
  void Kill();
  // SIGSTOP now, SIGCONT after `duration`.
  void Stop(absl::Duration duration);
  // From now on a failed check is what it should do, and ends it like a kill.
  void ExpectAbort() { abort_expected_ = true; }

  // For the world.
  void BeginStep() { ++depth_; }
  void EndStep();
  void Aborted(const std::string& why);

 private:
  friend class Process;

  class SimulatedExecutor;
  class SimulatedClock;
  class SeededIds;

  World* const world_;
  Process* const process_;
  const std::unique_ptr<Clock> clock_;
  const std::unique_ptr<IdSource> ids_;
  std::vector<std::unique_ptr<SimulatedExecutor>> executors_;
  std::shared_ptr<void> body_;
  int depth_ = 0;
  bool ended_ = false;
  bool dying_ = false;
  bool stopped_ = false;
  bool abort_expected_ = false;
  absl::Duration stopped_until_;
};

// A program on a machine of its own, which may be killed and started again. What is to survive that
// (disks, databases, containers) is not part of it.
class Process {
 public:
  // Makes what a life consists of; it is destroyed when the life has ended and none of its steps is
  // left.
  using Start = std::function<std::shared_ptr<void>(Life*)>;

  // Hears of each life's end. `ending` comes while its parts are there, `ended` when they are gone.
  struct Listener {
    std::function<void(Life*)> ending;
    std::function<void(Life*)> ended;
  };

  Process(World* world, std::string name, Start start);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const std::string& name() const { return name_; }
  World* world() const { return world_; }

  void Begin();
  // The life that runs; nullptr: none.
  Life* life() const { return life_.get(); }
  void Kill();

  void Listen(Listener listener) { listeners_.push_back(std::move(listener)); }

  // The machine's wall clock goes on from another time.
  void JumpClock(absl::Duration by) { clock_jump_ += by; }
  // Its clocks gain so many parts in a million.
  void SetClockDrift(int64_t per_million) { drift_per_million_ = per_million; }

  uint64_t lives() const { return lives_; }

 private:
  friend class Life;

  void Bury();
  absl::Duration OwnTime() const;

  World* const world_;
  const std::string name_;
  const Start start_;
  std::vector<Listener> listeners_;
  std::shared_ptr<Life> life_;
  uint64_t lives_ = 0;
  absl::Duration clock_jump_;
  int64_t drift_per_million_ = 0;
};

}  // namespace berth::simulation
