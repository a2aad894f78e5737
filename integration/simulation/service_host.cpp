#include "integration/simulation/service_host.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/eventlog/sqlite_event_log.h"
#include "common/status/status_macros.h"

namespace berth::simulation {

// One life's parts, destroyed from the last to the first.
struct ServiceHost::Running {
  std::unique_ptr<EventLog> log;
  rpc::AccessView access;
  Served served;
  std::shared_ptr<void> access_kept;
};

ServiceHost::ServiceHost(World* world, Network* network, Journal* journal, const std::string& name,
                         std::shared_ptr<MemoryDatabase> database, Make make,
                         std::function<std::shared_ptr<void>(const Foundation&)> follow_access)
    : world_(world),
      network_(network),
      journal_(journal),
      database_(std::move(database)),
      make_(std::move(make)),
      follow_access_(std::move(follow_access)),
      process_(world, name, [this](Life* life) { return Start(life); }) {
  if (database_ == nullptr) {
    disk_ = std::make_unique<SimulatedDisk>(world->random().Fork(), [this] {
      end_ =
          world_->random().Chance(500) ? SimulatedDisk::End::kPower : SimulatedDisk::End::kProcess;
      process_.Kill();
    });
  }
  network->Attach(&process_);
  process_.Listen({.ending =
                       [this](Life*) {
                         if (disk_ != nullptr) disk_->Freeze();
                       },
                   .ended = [this](Life*) { Ended(); }});
}

absl::StatusOr<std::unique_ptr<EventLog>> ServiceHost::OpenLog() {
  if (database_ != nullptr) {
    return std::make_unique<MemoryEventLog>(database_, journal_->stream());
  }
  BERTH_ASSIGN_OR_RETURN(
      std::unique_ptr<SqliteEventLog> log,
      SqliteEventLog::Open(absl::StrCat(disk_->folder(), "/", journal_->stream(), ".db"),
                           journal_->stream(), disk_->vfs()));
  return log;
}

absl::StatusOr<std::vector<StoredRecord>> ServiceHost::ReadLog() {
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<EventLog> log, OpenLog());
  std::vector<StoredRecord> records;
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const std::vector<StoredRecord> chunk, log->Read(records.size(), 1000));
    if (chunk.empty()) return records;
    records.insert(records.end(), chunk.begin(), chunk.end());
  }
}

std::shared_ptr<void> ServiceHost::Start(Life* life) {
  auto running = std::make_shared<Running>();
  absl::StatusOr<std::unique_ptr<EventLog>> log = OpenLog();
  if (!log.ok()) {
    if (life->dying()) return running;
    // A disk that is full lets no process start; one that is started again finds room some time.
    if (!absl::IsResourceExhausted(log.status())) {
      world_->Fail(
          absl::StrCat(process_.name(), " cannot open its log: ", log.status().ToString()));
    }
    life->Kill();
    return running;
  }
  running->log = std::make_unique<WitnessedLog>(*std::move(log), life, journal_, &log_faults_);
  const Foundation foundation{life, running->log.get(), life->NewExecutor(), &running->access};
  running->served = make_(foundation);
  running->access_kept = follow_access_(foundation);
  running->served.start([this, life, running = running.get()](const absl::Status& status) {
    if (life->dying()) return;
    if (!status.ok()) {
      return world_->Fail(absl::StrCat(process_.name(), " cannot start: ", status.ToString()));
    }
    world_->trace().Say(world_->now(), process_.name(), "serves");
    network_->Serve(life, {running->served.dispatcher});
    if (running->served.follow != nullptr) running->served.follow();
  });
  return running;
}

void ServiceHost::Kill(SimulatedDisk::End end) {
  end_ = end;
  process_.Kill();
}

void ServiceHost::End() {
  restarting_ = false;
  Kill(SimulatedDisk::End::kPower);
}

absl::Status ServiceHost::CheckLog() {
  BERTH_ASSIGN_OR_RETURN(const std::vector<StoredRecord> found, ReadLog());
  const std::vector<Journal::Entry>& known = journal_->entries();
  if (found.size() != known.size()) {
    return absl::DataLossError(absl::StrCat("stream ", journal_->stream(), " has ", found.size(),
                                            " records, and ", known.size(), " were stored"));
  }
  for (size_t i = 0; i < known.size(); ++i) {
    if (found[i].hash != known[i].record.hash) {
      return absl::DataLossError(absl::StrCat("stream ", journal_->stream(), ", position ", i + 1,
                                              ": another record than the one that was stored"));
    }
  }
  return absl::OkStatus();
}

void ServiceHost::FailNextSync() {
  if (disk_ == nullptr) return;
  disk_->FailNextSync([this] {
    end_ = world_->random().Chance(500) ? SimulatedDisk::End::kPower : SimulatedDisk::End::kProcess;
    if (process_.life() != nullptr) process_.life()->ExpectAbort();
  });
}

void ServiceHost::Ended() {
  if (disk_ != nullptr) disk_->Settle(end_);
  end_ = SimulatedDisk::End::kProcess;
  log_faults_.stop_before_next = absl::ZeroDuration();
  log_faults_.die_before_next = false;
  log_faults_.die_after_next = false;
  if (!restarting_) return;
  world_->After(world_->random().Between(absl::ZeroDuration(), kRestartDelayMax), [this] {
    if (restarting_) process_.Begin();
  });
}

}  // namespace berth::simulation
