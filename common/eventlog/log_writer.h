#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "berth/eventlog/v1/record.pb.h"
#include "berth/eventlog/v1/snapshot.pb.h"
#include "common/clock/clock.h"
#include "common/eventlog/decision.h"
#include "common/eventlog/event_log.h"
#include "common/eventlog/logged_state.h"
#include "common/eventlog/request_index.h"
#include "common/executor/executor.h"
#include "common/ids/id_source.h"
#include "common/sync/mutex.h"
#include "common/watch/watch_hub.h"

namespace berth {

// Who sends a command and how: what its record says beside the outcome.
struct CommandOrigin {
  std::string principal;    // Empty: the service itself.
  std::string address;      // Empty: the service itself.
  std::string method;       // The full RPC name, or an internal command's.
  std::string request_id;   // Empty: harmless to repeat (imports, reports, timers).
  std::string fingerprint;  // A hash of the request as received; with request_id only.
  eventlog::v1::RecordId cause;
  std::string org;                     // That it is about; empty: none, or several.
  std::vector<std::string> resources;  // Of that org.
};

// Whether a command that changes nothing leaves a record.
enum class Recorded {
  kAlways,    // What people and machines ask for: the log is the audit.
  kOnChange,  // Reports, imports, timers.
};

// A state as the writer sees it: events in, views out. EventSourced<State> implements it.
class StateMachine : public LoggedState {
 public:
  // What the events applied since the last call changed in the topics, as of now.
  virtual std::vector<TopicChange> TakeChanges() = 0;
  // Whether TakeChanges is to know what the events applied from now on change; after Reset it is.
  virtual void NoteChanges(bool note) = 0;

  // Everything of a topic, as of now.
  virtual TopicEntries Entries(const std::string& topic) const = 0;

  // Another state of the same kind, before any event.
  virtual std::unique_ptr<LoggedState> NewState() const = 0;

  // What moves the times by which the state's timers run, where the wall clock was set by `by`,
  // back where that is negative. Nothing where there are none.
  virtual std::vector<eventlog::v1::StoredEvent> ClockWasSet(absl::Duration by) const = 0;

  // This process leads, from now on or still, and what was applied up to `position` is what the log
  // says: at a start or a take-over, and when the log was read again after a failed append. After
  // one, no command is taken for a while, and when that is over this is called once more.
  virtual void Loaded(uint64_t position) = 0;

  // This process leads no more, because of `why`: another one may. Loaded follows if it leads
  // again.
  virtual void SteppedDown(const absl::Status& why) = 0;

  // A record with events is durable. Called in order; not for what Loaded covers.
  virtual void Published(const eventlog::v1::Record& record) = 0;
};

// The only writer of a log (one per service).
//
// Commands and reads stand in one bounded queue. A step takes what is there, decides and applies
// one after another on the working state, appends everything as one durable batch, then answers all
// of it, reads and refusals included, and publishes to the watch hub. While a batch is being
// written nothing is decided or read; the queue gathers. So nobody hears of what a crash could take
// back, and a step that made no record touches no disk.
//
// An append that did not surely succeed has one path: the working state is dropped and loaded from
// the log again, and everyone in the batch is answered UNAVAILABLE. A retry with the same request
// id gets the first answer if it was written. For a moment no other command is decided then, so
// that a full disk costs one load a second and not one for each command.
//
// Where several processes have a log open, one leads: it holds the lease. The others stand by. They
// apply records as they come, in order to take over at once, refuse everything with the leader's
// address, and read the log anew where its next record does not follow what they have. A leader
// whose lease could have ended, by its own monotonic clock, answers nothing; one that lost it
// stands by. All of this is the same for every log; a SQLite file just never has a standby.
//
// Timers run by times of the wall clock, which are in the log. Where that clock is set while a
// process leads, or the next leader's is behind the log, the state's times are moved with it before
// the next command is decided: nothing waits an hour because a clock was set back by one.
//
// Enqueue functions may be called from any thread; everything else, and every callback, happens on
// the executor. Only a load has a thread beside it, which does nothing but check and parse what the
// executor has read (CheckedRecords), and ends with it. The objects passed in outlive the writer,
// and the executor has stopped before the writer is destroyed.
class LogWriter {
 public:
  struct Limits {
    size_t queue_max = 10'000;           // Commands and reads waiting.
    size_t batch_max = 1'000;            // Taken by one step.
    size_t request_ids_max = 1'000'000;  // Remembered for repeats; 60 bytes each.
    // A snapshot follows the last one after so many records and as many bytes as that one had: what
    // is written twice is then never more than half, and a start replays no more than it loads.
    uint64_t snapshot_records = 10'000;
    uint64_t watch_refill_records = 2'000;  // From the log's tail into the hub's rings, at start.
    size_t replay_chunk = 500;              // Records read at a time.
    // After a leader was killed, this is how long nobody leads. Four renewals in a row have to fail
    // before a leader that lives has to stand by.
    absl::Duration lease_duration = absl::Seconds(5);
    absl::Duration lease_renewal = absl::Seconds(1);
    absl::Duration follow_interval = absl::Milliseconds(500);  // How often a standby looks.
    absl::Duration bookmark_interval = absl::Seconds(10);      // Of idle watchers.
    // The wall clock moved by so much against the monotonic one from one command to the next: it
    // was set, and did not just drift.
    absl::Duration clock_set_min = absl::Seconds(1);
    absl::Duration retry_delay = absl::Seconds(1);  // After a failed append, or of a lost log.
    // What was cut off is erased so many records at a time, so far apart: between two, whoever
    // waits has a turn.
    size_t erase_chunk = 500;
    absl::Duration erase_interval = absl::Milliseconds(20);
    WatchHub::Limits watch;
  };

  // What is told of every batch that was to be written: how many records, how it went, how long it
  // took. On the executor.
  struct Observer {
    std::function<void(size_t records, const absl::Status&, absl::Duration)> appended;
  };

  // What the writer counts for whoever looks, now.
  struct Numbers {
    bool serving = false;        // This process leads.
    bool standby = false;        // Another one does, and this one follows.
    uint64_t position = 0;       // Of the newest durable record.
    uint64_t cut_position = 0;   // Of the newest record that was cut off; 0: of none.
    size_t queued = 0;           // Commands and reads waiting.
    uint64_t queue_refused = 0;  // Since the start, because the queue was full.
  };

  // A decision with its types erased.
  struct Outcome {
    std::vector<eventlog::v1::StoredEvent> events;
    std::string answer;
    std::vector<RowChange> rows;
  };
  using Decide = std::function<absl::StatusOr<Outcome>(const DecisionContext&)>;
  using Answer = std::function<void(absl::StatusOr<std::string>)>;

  LogWriter(std::string stream, Limits limits, EventLog* log, StateMachine* machine,
            Executor* executor, const Clock* clock, IdSource* ids);

  // Before Start.
  void SetObserver(Observer observer) { observer_ = std::move(observer); }

  // `leads` is called, on the executor, each time this process begins to lead. Before Start.
  void WhenLeading(std::function<void()> leads) { leads_ = std::move(leads); }
  // `changed` is called on the executor when there is more to read, durable and published, and when
  // this process leads no more. It must not block. Before Start.
  void WhenChanged(std::function<void()> changed) { changed_ = std::move(changed); }

  // Takes the lease and loads the state, or follows the process that has it, trying again while the
  // log is unreachable. `started` gets OK once this process leads or stands by, or the error that
  // trying again does not help (kDataLoss, …). Such an error that comes later, while it stands by,
  // ends the process: it could never take over.
  void Start(LeaseHolder holder, std::function<void(absl::Status)> started);

  // OK while this process leads for sure. Otherwise what callers are told: kUnavailable with the
  // reason NOT_LEADER and the leader's address, or NOT_READY where no other process leads either.
  // From any thread.
  absl::Status Leading() const;

  // Decides and records a command. The answer is Leading()'s while this process does not lead and
  // kResourceExhausted with a retry delay when the queue is full.
  void EnqueueCommand(CommandOrigin origin, Recorded recorded, Decide decide, Answer answer);

  // Runs `read` on the state at its place in the queue; `done` runs when all before it is durable.
  // `done` gets an error, and `read` does not run, while this process does not lead.
  void EnqueueRead(std::function<void()> read, std::function<void(absl::Status)> done);

  // Begins or resumes a watch of the watcher's topic. `done` gets an error when it cannot now.
  void EnqueueWatch(std::shared_ptr<Watcher> watcher, std::optional<watch::v1::Revision> resume,
                    std::function<void(absl::Status)> done);

  // The state that is served, at its place in the queue; for comparison with what the log gives.
  void EnqueueSave(std::function<void(absl::StatusOr<SavedState>)> done);
  // Cuts off the log's oldest records: up to the one that `base` is as of, which was decided at
  // `record_time`. Requests are recognised as repeats by records that are there, so these are older
  // than RequestIndex::kKept. `done` gets OK once that is durable; the records are erased after it.
  // kFailedPrecondition: the log begins there already, or later.
  void EnqueueCut(const SavedState& base, absl::Time record_time,
                  std::function<void(absl::Status)> done);

  // Another state of the same kind, before any event. From any thread.
  std::unique_ptr<LoggedState> NewState() const { return machine_->NewState(); }

  // Whether a revision was this log's own; for reports that claim to have applied one. An error:
  // the log cannot be asked now. On the executor only.
  absl::StatusOr<bool> IsOwnRevision(const watch::v1::Revision& revision);

  // The revision of the newest record. On the executor only.
  watch::v1::Revision Head() const;

  const WatchHub& hub() const { return hub_; }

  // From any thread.
  Numbers numbers() const;

 private:
  // The row with the key under which request fingerprints are hashed: whoever reads a log cannot
  // try out what a request said.
  static constexpr char kRequestKeyRow[] = "log/request-key";

  struct Item {
    CommandOrigin origin;
    Recorded recorded = Recorded::kAlways;
    Decide decide;                           // Commands.
    Answer answer;                           // Commands.
    std::function<void()> read;              // Reads.
    std::function<void(absl::Status)> done;  // Reads.
  };
  struct Made {  // A record of the batch in work.
    eventlog::v1::Record record;
    StoredRecord stored;
    std::vector<TopicChange> changes;
  };

  absl::Status Enqueue(Item item);
  void Step();
  absl::Time ClockZero() const { return clock_->Now() - clock_->Monotonic(); }
  bool FollowClock(absl::Time clock_zero, std::vector<Made>* batch, std::vector<RowChange>* rows);
  absl::Status WhyNotStored(const absl::Status& appended) const;
  void PauseWrites(const absl::Status& appended);
  absl::StatusOr<std::string> Carry(Item& item, std::vector<Made>* batch,
                                    std::vector<RowChange>* rows);
  // nullopt: the request was not made before.
  absl::StatusOr<std::optional<eventlog::v1::Record>> FindRepeated(
      const CommandOrigin& origin, const std::vector<Made>& batch) const;
  absl::StatusOr<std::string> AnswerRepeat(const CommandOrigin& origin,
                                           const eventlog::v1::Record& record) const;
  absl::Status CheckRoomForRequest() const;
  Made MakeRecord(const CommandOrigin& origin, absl::Status outcome, Outcome decided);
  void Advance(const StoredRecord& stored, const eventlog::v1::Record& record);
  absl::Status Lead();

  // log_writer_load.cpp.
  absl::Status Load();
  absl::Status LoadRequestKey();
  void Forget();
  absl::Status LoadState();
  void BeginsAt(const eventlog::v1::LogBegin& begin);
  // False: there is none.
  absl::StatusOr<bool> LoadSnapshot();
  absl::Status TakeUp(const eventlog::v1::Snapshot& snapshot);
  absl::Status Replay();
  absl::Status ReplayRecord(const StoredRecord& stored);
  absl::Status ApplyStored(const StoredRecord& stored, const eventlog::v1::Record& record);
  bool SnapshotIsDue() const;
  eventlog::v1::Snapshot ToSnapshot(const SavedState& saved, absl::Time record_time) const;
  RowChange MakeSnapshot();
  void EraseCutOff();

  absl::Status CatchUp();
  absl::Status Follow();
  absl::StatusOr<bool> IsPartOfLog() const;
  absl::Status TakeLease();
  void TryLead();
  void StandBy(const LeaseHolder& leader);
  void RenewLease();
  void RenewLeaseLater();
  void MarkIdle();
  void StepDown(const absl::Status& why);
  std::string KeyedFingerprint(const std::string& fingerprint) const;
  bool LeaseMayHaveEnded() const;

  const std::string stream_;
  const Limits limits_;
  EventLog* const log_;
  const bool lease_ends_;  // By itself.
  StateMachine* const machine_;
  Executor* const executor_;
  const Clock* const clock_;
  IdSource* const ids_;
  Observer observer_;
  std::function<void()> leads_;
  std::function<void()> changed_;

  // On the executor only.
  LeaseHolder holder_;
  std::function<void(absl::Status)> started_;
  std::string waits_for_;  // Why it neither leads nor stands by, as it was logged last.
  bool loaded_ = false;    // The state is that of the log up to position_.
  uint64_t terms_ = 0;     // How often this process has begun to lead.
  absl::Duration no_write_before_ = -absl::InfiniteDuration();  // After an append failed.
  absl::Status no_write_;   // What commands are told until then.
  uint64_t position_ = 0;   // Of the newest record, durable or in the batch.
  std::string hash_;        // Of that record; 32 zero bytes before the first.
  absl::Time record_time_;  // When it was decided.
  absl::Time clock_zero_;   // The wall clock's at 0 of the monotonic one, as the state knows it.
  eventlog::v1::Record replayed_;  // The newest; its memory is used again.
  eventlog::v1::LogBegin begin_;   // Where the log begins.
  std::string request_key_;        // Keys request_hash; a row, so that it survives.
  bool request_key_stored_ = false;
  std::optional<RequestIndex> requests_;  // Once the key is loaded.
  uint64_t snapshot_position_ = 0;        // Of the newest snapshot, or 0.
  uint64_t snapshot_bytes_ = 0;           // Of its state and requests.
  uint64_t bytes_since_snapshot_ = 0;
  bool erase_failed_ = false;        // The last attempt to erase what was cut off.
  uint64_t no_snapshot_before_ = 0;  // After an append with one failed: it may have been too large.

  WatchHub hub_;

  // Written on the executor, read by any thread.
  std::atomic<bool> serving_ = false;
  std::atomic<int64_t> lease_taken_ns_ = 0;  // Since the clock's beginning; before it was asked.
  std::atomic<uint64_t> durable_position_ = 0;
  std::atomic<uint64_t> cut_position_ = 0;  // What begin_ says.

  mutable Mutex mutex_;
  std::optional<LeaseHolder> leader_ ABSL_GUARDED_BY(mutex_);  // While this process stands by.
  std::deque<Item> queue_ ABSL_GUARDED_BY(mutex_);
  uint64_t queue_refused_ ABSL_GUARDED_BY(mutex_) = 0;
  bool step_posted_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace berth
