#include "integration/simulation/service_host.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "berth/eventlog/v1/record.pb.h"
#include "common/check/check.h"
#include "common/eventlog/log_begin.h"
#include "common/eventlog/log_verifier.h"
#include "common/eventlog/record_chain.h"
#include "common/eventlog/sqlite_event_log.h"
#include "common/status/status_macros.h"

namespace berth::simulation {
namespace {

constexpr size_t kVerifiedAtOnce = 1'000;  // Records.

}  // namespace

// One life's parts, destroyed from the last to the first.
struct ServiceHost::Running {
  std::unique_ptr<EventLog> log;
  Executor* history = nullptr;  // For what is done beside the service's own executor.
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
  running_ = running;
  running->log = std::make_unique<WitnessedLog>(*std::move(log), life, journal_, &log_faults_);
  const Foundation foundation{life, running->log.get(), life->NewExecutor(), &running->access};
  running->served = make_(foundation);
  running->access_kept = follow_access_(foundation);
  running->history = life->NewExecutor();
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

void ServiceHost::CutLater(absl::Duration delay, std::function<bool(absl::Duration since)> may_cut,
                           std::function<void()> done) {
  const std::shared_ptr<Running> running = running_.lock();
  if (running == nullptr || running->history == nullptr) return;
  Running* const life = running.get();
  const Clock* const clock = process_.life()->clock();
  life->served.writer->EnqueueSave([=, this](const absl::StatusOr<SavedState>& saved) {
    if (!saved.ok()) return;
    Cut cut{*saved, clock->Now(), world_->now(), may_cut, done};
    life->history->PostAfter(delay, [=, this] { TryToCut(life, cut); });
  });
}

void ServiceHost::TryToCut(Running* life, const Cut& cut) {
  if (!cut.may_cut(cut.since)) {
    return life->history->PostAfter(kCutRetry, [=, this] { TryToCut(life, cut); });
  }
  life->served.writer->EnqueueCut(cut.base, cut.decided,
                                  [done = cut.done](const absl::Status& status) {
                                    if (status.ok()) done();
                                  });
}

absl::Status ServiceHost::CheckLog(std::unique_ptr<LoggedState> state) {
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<EventLog> log, OpenLog());
  BERTH_ASSIGN_OR_RETURN(const eventlog::v1::LogBegin begin,
                         ReadLogBegin(journal_->stream(), log.get()));
  BERTH_RETURN_IF_ERROR(CheckRecords(begin, log.get()));
  BERTH_RETURN_IF_ERROR(CheckBase(begin, log.get(), state.get()));
  state->Reset();
  LogVerifier verifier(journal_->stream(), std::move(state));
  BERTH_RETURN_IF_ERROR(verifier.ExpectRowsOf(log.get()));
  bool more = true;
  while (more) {
    BERTH_ASSIGN_OR_RETURN(more, verifier.Step(log.get(), kVerifiedAtOnce));
  }
  return absl::OkStatus();
}

absl::Status ServiceHost::CheckRecords(const eventlog::v1::LogBegin& begin, EventLog* log) {
  const std::vector<Journal::Entry>& known = journal_->entries();
  uint64_t position = begin.position();
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const std::vector<StoredRecord> chunk,
                           log->Read(position, kVerifiedAtOnce));
    if (chunk.empty()) break;
    for (const StoredRecord& found : chunk) {
      if (position < known.size() && found.hash != known[position].record.hash) {
        return absl::DataLossError(absl::StrCat("stream ", journal_->stream(), ", position ",
                                                position + 1,
                                                ": another record than the one that was stored"));
      }
      ++position;
    }
  }
  if (position == known.size()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("stream ", journal_->stream(), " ends at position ",
                                          position, ", and ", known.size(), " were stored"));
}

absl::Status ServiceHost::CheckBase(const eventlog::v1::LogBegin& begin, EventLog* log,
                                    LoggedState* state) {
  for (uint64_t i = 0; i < begin.position(); ++i) {
    eventlog::v1::Record record;
    BERTH_CHECK(record.ParseFromString(journal_->entries()[i].record.bytes));
    BERTH_RETURN_IF_ERROR(ApplyRecord(record, state));
  }
  const std::string truly = state->Save();
  BERTH_RETURN_IF_ERROR(LoadBase(journal_->stream(), begin, log, state));
  if (state->Save() == truly) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("stream ", journal_->stream(), ": the base at position ",
                                          begin.position(), " is not what was cut off"));
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
