#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "common/eventlog/log_writer.h"
#include "common/eventlog/logged_state.h"
#include "common/eventlog/memory_event_log.h"
#include "common/rpc/access_view.h"
#include "common/rpc/channel.h"
#include "common/rpc/dispatcher.h"
#include "integration/simulation/disk.h"
#include "integration/simulation/journal.h"
#include "integration/simulation/network.h"
#include "integration/simulation/process.h"

namespace berth::simulation {

// A service as the process around it sees it; `keep` holds it.
struct Served {
  std::shared_ptr<void> keep;
  rpc::Dispatcher* dispatcher;
  LogWriter* writer;
  std::function<void(std::function<void(absl::Status)> started)> start;
  std::function<void()> follow;  // Begins to follow the others; empty: it follows none.
};

// What a service is made on, for one life.
struct Foundation {
  Life* life;
  EventLog* log;
  Executor* executor;
  rpc::AccessView* access;
};

// A service of Berth in a process of its own, on a log that outlives it: a SQLite file on a
// simulated disk, or a stream of a database.
class ServiceHost {
 public:
  using Make = std::function<Served(const Foundation&)>;

  // With `database`: there; otherwise on a disk of its own. `follow_access` keeps the view of a
  // life and returns what does. Everything outlives the host.
  ServiceHost(World* world, Network* network, Journal* journal, const std::string& name,
              std::shared_ptr<MemoryDatabase> database, Make make,
              std::function<std::shared_ptr<void>(const Foundation&)> follow_access);

  Process& process() { return process_; }
  LogFaults& log_faults() { return log_faults_; }
  SimulatedDisk* disk() { return disk_.get(); }  // nullptr: on a database.

  // Ends the life; with a loss of power, what was not synced may be lost, and nobody is told.
  void Kill(SimulatedDisk::End end);
  // The next sync of the disk fails.
  void FailNextSync();

  // Cuts the log off where it is now, but only `delay` later, and once `may_cut(now)` says that
  // nobody repeats a command of before; if this life leads then. `done` hears of a cut.
  void CutLater(absl::Duration delay, std::function<bool(absl::Duration since)> may_cut,
                std::function<void()> done);

  // Ends the life with a loss of power, and begins no other.
  void End();

  // After End: whether what a later start would find is what is known to be there. `state` is one
  // of the service, before any event.
  absl::Status CheckLog(std::unique_ptr<LoggedState> state);

 private:
  static constexpr absl::Duration kRestartDelayMax = absl::Seconds(3);
  static constexpr absl::Duration kCutRetry = absl::Milliseconds(200);

  struct Running;
  // A cut that is going to be made: the state there, and when that was.
  struct Cut {
    SavedState base;
    absl::Time decided;    // By the process's clock.
    absl::Duration since;  // By the world's.
    std::function<bool(absl::Duration since)> may_cut;
    std::function<void()> done;
  };

  void TryToCut(Running* life, const Cut& cut);
  std::shared_ptr<void> Start(Life* life);
  absl::StatusOr<std::unique_ptr<EventLog>> OpenLog();
  absl::Status CheckRecords(const eventlog::v1::LogBegin& begin, EventLog* log);
  // Whether the log begins with what was cut off.
  absl::Status CheckBase(const eventlog::v1::LogBegin& begin, EventLog* log, LoggedState* state);
  void Ended();

  World* const world_;
  Network* const network_;
  Journal* const journal_;
  const std::shared_ptr<MemoryDatabase> database_;
  const Make make_;
  const std::function<std::shared_ptr<void>(const Foundation&)> follow_access_;
  std::unique_ptr<SimulatedDisk> disk_;
  LogFaults log_faults_;
  SimulatedDisk::End end_ = SimulatedDisk::End::kProcess;
  bool restarting_ = true;
  std::weak_ptr<Running> running_;  // Of the life that is.
  Process process_;
};

}  // namespace berth::simulation
