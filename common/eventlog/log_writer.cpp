#include "common/eventlog/log_writer.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/crypto/hash.h"
#include "common/eventlog/log_begin.h"
#include "common/eventlog/record_chain.h"
#include "common/log/log.h"
#include "common/status/error_details.h"
#include "common/status/status_macros.h"
#include "common/sync/mutex.h"
#include "common/text/utf8.h"
#include "common/time/timestamp.h"

namespace berth {
namespace {

// The method of the record that a new leader writes before it serves.
constexpr char kLeaderStarted[] = "LeaderStarted";
// And of the one that moves a state's times.
constexpr char kClockSet[] = "ClockSet";
constexpr size_t kRevisionHashSize = 16;

google::rpc::Status ToProto(const absl::Status& status) {
  google::rpc::Status proto;
  proto.set_code(static_cast<int>(status.code()));
  // A message quotes what it is about, perhaps cut; the record must be readable for ever.
  proto.set_message(ToUtf8(status.message()));
  // Sorted, because Abseil gives them in an order that depends on where they lie in memory: the
  // same refusal is the same record.
  std::map<std::string, std::string> details;
  status.ForEachPayload([&](absl::string_view type_url, const absl::Cord& payload) {
    details.emplace(type_url, payload);
  });
  for (const auto& [type_url, payload] : details) {
    google::protobuf::Any* detail = proto.add_details();
    detail->set_type_url(type_url);
    detail->set_value(payload);
  }
  return proto;
}

absl::Status FromProto(const google::rpc::Status& proto) {
  absl::Status status(static_cast<absl::StatusCode>(proto.code()), proto.message());
  for (const google::protobuf::Any& detail : proto.details()) {
    status.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
  return status;
}

watch::v1::Revision ToRevision(uint64_t position, const std::string& hash) {
  watch::v1::Revision revision;
  revision.set_position(position);
  revision.set_hash(hash.substr(0, kRevisionHashSize));
  return revision;
}

absl::Status NotReady(absl::string_view stream) {
  return WithRetryDelay(
      WithReason(absl::UnavailableError(
                     absl::StrCat(stream,
                                  " is not serving: its log is being loaded or cannot be reached; "
                                  "try again in a moment")),
                 reason::kNotReady),
      absl::Seconds(1));
}

absl::Status NotLeader(absl::string_view stream, const LeaseHolder& leader) {
  return WithReason(absl::UnavailableError(absl::StrCat(
                        "this process stands by for ", stream, ", which is served by ", leader.name,
                        leader.address.empty() ? "" : " at ", leader.address)),
                    reason::kNotLeader, {{"address", leader.address}});
}

// Of a log that does not go on where this process's picture of it ends. Reading it from its
// beginning shows whether the picture was wrong or the log is.
bool MayBeAnotherHistory(const absl::Status& status) { return absl::IsDataLoss(status); }

// What trying again may help against.
bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsAborted(status) ||
         absl::IsResourceExhausted(status);
}

}  // namespace

LogWriter::LogWriter(std::string stream, Limits limits, EventLog* log, StateMachine* machine,
                     Executor* executor, const Clock* clock, IdSource* ids)
    : stream_(std::move(stream)),
      limits_(limits),
      log_(log),
      lease_ends_(log->LeaseEndsByItself()),
      machine_(machine),
      executor_(executor),
      clock_(clock),
      ids_(ids),
      hub_(limits.watch, [this](std::shared_ptr<Watcher> watcher) {
        // A writer that cannot serve now resyncs everyone when it can again.
        EnqueueWatch(std::move(watcher), std::nullopt, [](absl::Status) {});
      }) {}

void LogWriter::Start(LeaseHolder holder, std::function<void(absl::Status)> started) {
  executor_->Post([this, holder = std::move(holder), started = std::move(started)]() mutable {
    holder_ = std::move(holder);
    started_ = std::move(started);
    TryLead();
  });
}

absl::Status LogWriter::TakeLease() {
  // The lease begins while the log is asked for it, so not before now: an answer that comes late
  // must not make it longer.
  const absl::Duration begin = clock_->Monotonic();
  absl::Status status = log_->TakeLease(holder_, limits_.lease_duration);
  if (status.ok()) lease_taken_ns_ = absl::ToInt64Nanoseconds(begin);
  return status;
}

void LogWriter::TryLead() {
  absl::Status status = TakeLease();
  const absl::Status refusal = status;
  const bool held_by_another = IsLeaseHeldByAnother(refusal);
  if (status.ok() || held_by_another) status = Follow();
  if (status.ok() && !held_by_another) status = Lead();
  if (status.ok() && held_by_another) {
    std::map<std::string, std::string> leader = ReasonMetadataOf(refusal);
    return StandBy({leader["holder"], leader["address"]});
  }
  {
    MutexLock lock(&mutex_);
    leader_.reset();
  }
  if (MayPass(status)) {
    // Once, and not at every attempt.
    if (std::exchange(waits_for_, std::string(status.message())) != status.message()) {
      LogWarning("the log cannot be served yet", {{"stream", stream_}, {"why", waits_for_}});
    }
    executor_->PostAfter(limits_.retry_delay, [this] { TryLead(); });
    return;
  }
  if (status.ok()) {
    waits_for_.clear();
    Step();
  }
  // Whoever stands by for good although it could never take over is worse than one less.
  BERTH_CHECK_MESSAGE(status.ok() || started_ != nullptr, status.ToString());
  if (started_ != nullptr) std::exchange(started_, nullptr)(status);
}

void LogWriter::StandBy(const LeaseHolder& leader) {
  std::optional<LeaseHolder> before;
  {
    MutexLock lock(&mutex_);
    before = std::exchange(leader_, leader);
  }
  waits_for_.clear();
  if (!before.has_value() || before->name != leader.name || before->address != leader.address) {
    LogInfo("this process stands by",
            {{"stream", stream_}, {"leader", leader.name}, {"address", leader.address}});
  }
  executor_->PostAfter(limits_.follow_interval, [this] { TryLead(); });
  Step();  // Whoever waits is told where to go.
  if (started_ != nullptr) std::exchange(started_, nullptr)(absl::OkStatus());
}

absl::Status LogWriter::Leading() const {
  if (serving_ && !LeaseMayHaveEnded()) return absl::OkStatus();
  MutexLock lock(&mutex_);
  // A process that was killed and runs again finds the lease that it had itself.
  if (serving_ || !leader_.has_value() ||
      (!leader_->address.empty() && leader_->address == holder_.address)) {
    return NotReady(stream_);
  }
  return NotLeader(stream_, *leader_);
}

void LogWriter::RenewLease() {
  // Whoever was refused meanwhile, or has a watch that was to be given a snapshot, begins anew,
  // also where nobody else has taken the lease.
  const bool lapsed = LeaseMayHaveEnded();
  const absl::Status status = TakeLease();
  if (lapsed && status.ok()) return StepDown(absl::UnavailableError("the lease was renewed late"));
  if (!status.ok() && (LeaseMayHaveEnded() || !absl::IsUnavailable(status))) {
    return StepDown(status);
  }
  RenewLeaseLater();
}

void LogWriter::RenewLeaseLater() {
  if (!lease_ends_) return;
  executor_->PostAfter(limits_.lease_renewal, [this, term = terms_] {
    if (serving_ && term == terms_) RenewLease();
  });
}

void LogWriter::MarkIdle() {
  hub_.MarkIdle();
  executor_->PostAfter(limits_.bookmark_interval, [this, term = terms_] {
    if (serving_ && term == terms_) MarkIdle();
  });
}

bool LogWriter::LeaseMayHaveEnded() const {
  return lease_ends_ &&
         clock_->Monotonic() - absl::Nanoseconds(lease_taken_ns_.load()) >= limits_.lease_duration;
}

void LogWriter::StepDown(const absl::Status& why) {
  LogError("this process leads no more", {{"stream", stream_}, {"why", why.message()}});
  serving_ = false;
  machine_->SteppedDown(Leading());
  if (changed_ != nullptr) changed_();
  Step();  // Everything that waits is answered now rather than after the next successful start.
  executor_->Post([this] { TryLead(); });
}

absl::Status LogWriter::CatchUp() {
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const std::vector<StoredRecord> chunk,
                           log_->Read(position_, limits_.replay_chunk));
    if (chunk.empty()) return absl::OkStatus();
    for (const StoredRecord& stored : chunk) {
      BERTH_RETURN_IF_ERROR(ReplayRecord(stored));
      durable_position_ = position_;
      hub_.Publish(Head(), machine_->TakeChanges());
    }
  }
}

absl::StatusOr<bool> LogWriter::IsPartOfLog() const {
  if (position_ == begin_.position()) return true;
  BERTH_ASSIGN_OR_RETURN(const std::vector<StoredRecord> newest, log_->Read(position_ - 1, 1));
  return newest.size() == 1 && newest.front().position == position_ && newest.front().hash == hash_;
}

absl::Status LogWriter::Follow() {
  if (!loaded_) return Load();
  absl::Status status = CatchUp();
  if (MayBeAnotherHistory(status)) {
    LogWarning("the log is read from its beginning",
               {{"stream", stream_}, {"why", status.message()}});
    status = Load();
  }
  return status;
}

absl::Status LogWriter::Lead() {
  // A database that failed over may have lost what this process has applied, and have other records
  // in its place.
  BERTH_ASSIGN_OR_RETURN(const bool part_of_log, IsPartOfLog());
  // The key that requests are known by may have been made by another process since.
  if (!part_of_log || !request_key_stored_) BERTH_RETURN_IF_ERROR(Load());
  std::vector<RowChange> rows;
  if (!request_key_stored_) rows.push_back({kRequestKeyRow, request_key_});
  CommandOrigin origin;
  origin.principal = holder_.name;
  origin.method = kLeaderStarted;
  // Of a clock that is ahead of the log nobody can say whether it was set or time went by. What
  // moves the times is in this record, as the next start compares with it.
  Outcome moved;
  const absl::Duration ahead = clock_->Now() - record_time_;
  if (ahead <= -limits_.clock_set_min) moved.events = machine_->ClockWasSet(ahead);
  clock_zero_ = ClockZero();
  Made made = MakeRecord(origin, absl::OkStatus(), std::move(moved));
  if (absl::Status status = log_->Append(position_, {made.stored}, rows); !status.ok()) {
    loaded_ = false;  // It may be stored all the same.
    return status;
  }
  request_key_stored_ = true;
  const absl::Status applied = ApplyRecord(made.record, machine_);
  BERTH_CHECK_MESSAGE(applied.ok(), applied.ToString());
  Advance(made.stored, made.record);
  durable_position_ = position_;
  no_write_before_ = -absl::InfiniteDuration();
  hub_.Publish(Head(), machine_->TakeChanges());
  serving_ = true;
  ++terms_;
  machine_->Loaded(position_);
  if (leads_ != nullptr) leads_();
  if (changed_ != nullptr) changed_();
  RenewLeaseLater();
  MarkIdle();
  EraseCutOff();  // What was left when the last leader ended.
  return absl::OkStatus();
}

absl::Status LogWriter::Enqueue(Item item) {
  MutexLock lock(&mutex_);
  if (queue_.size() >= limits_.queue_max) {
    ++queue_refused_;
    return WithRetryDelay(
        WithReason(absl::ResourceExhaustedError(absl::StrCat(stream_, " has ", queue_.size(),
                                                             " requests waiting; try again later")),
                   reason::kQueueFull, {{"limit", absl::StrCat(limits_.queue_max)}}),
        absl::Seconds(1));
  }
  queue_.push_back(std::move(item));
  if (!step_posted_) {
    step_posted_ = true;
    executor_->Post([this] { Step(); });
  }
  return absl::OkStatus();
}

void LogWriter::EnqueueCommand(CommandOrigin origin, Recorded recorded, Decide decide,
                               Answer answer) {
  Item item;
  item.origin = std::move(origin);
  item.recorded = recorded;
  item.decide = std::move(decide);
  item.answer = answer;
  if (absl::Status status = Enqueue(std::move(item)); !status.ok()) answer(status);
}

void LogWriter::EnqueueRead(std::function<void()> read, std::function<void(absl::Status)> done) {
  Item item;
  item.read = std::move(read);
  item.done = done;
  if (absl::Status status = Enqueue(std::move(item)); !status.ok()) done(status);
}

void LogWriter::EnqueueWatch(std::shared_ptr<Watcher> watcher,
                             std::optional<watch::v1::Revision> resume,
                             std::function<void(absl::Status)> done) {
  // A watch begins when the batch it stood in is durable and published: the working state is then
  // the head's, and the next record will be the watcher's first delta.
  EnqueueRead([] {},
              [this, watcher = std::move(watcher), resume = std::move(resume),
               done = std::move(done)](absl::Status status) {
                if (!status.ok()) return done(std::move(status));
                const absl::StatusOr<bool> own =
                    resume.has_value() ? IsOwnRevision(*resume) : false;
                // Whether history has changed is not known then, and who is told so gives up what
                // it had.
                if (!own.ok()) return done(own.status());
                if (!*own || !hub_.Resume(watcher, *resume)) {
                  hub_.Snapshot(watcher, Head(), resume.has_value() && !*own,
                                [&] { return machine_->Entries(watcher->topic()); });
                }
                done(absl::OkStatus());
              });
}

void LogWriter::EnqueueSave(std::function<void(absl::StatusOr<SavedState>)> done) {
  auto saved = std::make_shared<SavedState>();
  EnqueueRead(
      [this, saved] { *saved = {position_, hash_, machine_->SavedFormat(), machine_->Save()}; },
      [saved, done = std::move(done)](absl::Status status) {
        if (!status.ok()) return done(std::move(status));
        done(std::move(*saved));
      });
}

absl::StatusOr<bool> LogWriter::IsOwnRevision(const watch::v1::Revision& revision) {
  if (revision.position() == 0 || revision.position() > position_) return false;
  // Of what was cut off only the newest record's hash is known: the others are as good as foreign.
  if (revision.position() < begin_.position()) return false;
  if (revision.position() == begin_.position()) {
    return revision.hash() == begin_.record_hash().substr(0, kRevisionHashSize);
  }
  if (revision.position() == position_) {
    return revision.hash() == hash_.substr(0, kRevisionHashSize);
  }
  BERTH_ASSIGN_OR_RETURN(const std::vector<StoredRecord> records,
                         log_->Read(revision.position() - 1, 1));
  return records.size() == 1 && records.front().position == revision.position() &&
         records.front().hash.substr(0, kRevisionHashSize) == revision.hash();
}

LogWriter::Numbers LogWriter::numbers() const {
  MutexLock lock(&mutex_);
  return {serving_,          !serving_ && leader_.has_value(),
          durable_position_, cut_position_,
          queue_.size(),     queue_refused_};
}

watch::v1::Revision LogWriter::Head() const { return ToRevision(position_, hash_); }

std::string LogWriter::KeyedFingerprint(const std::string& fingerprint) const {
  return KeyedBlake2b128(request_key_, fingerprint);
}

void LogWriter::Advance(const StoredRecord& stored, const eventlog::v1::Record& record) {
  position_ = stored.position;
  hash_ = stored.hash;
  record_time_ = FromTimestamp(record.time());
  bytes_since_snapshot_ += stored.bytes.size();
  requests_->Remember(record);
  if (const std::optional<eventlog::v1::LogBegin> begin = CutBy(record)) BeginsAt(*begin);
}

LogWriter::Made LogWriter::MakeRecord(const CommandOrigin& origin, absl::Status outcome,
                                      Outcome decided) {
  Made made;
  eventlog::v1::Record& record = made.record;
  record.set_stream(stream_);
  record.set_position(position_ + 1);
  *record.mutable_time() = ToTimestamp(clock_->Now());
  record.mutable_actor()->set_principal(origin.principal);
  record.mutable_actor()->set_address(origin.address);
  record.set_method(origin.method);
  if (!origin.request_id.empty()) {
    record.set_request_id(origin.request_id);
    record.set_request_hash(KeyedFingerprint(origin.fingerprint));
  }
  if (origin.cause.position() != 0) *record.mutable_cause() = origin.cause;
  record.set_org(origin.org);
  for (const std::string& resource : origin.resources) record.add_resources(resource);
  *record.mutable_outcome() = ToProto(outcome);
  for (eventlog::v1::StoredEvent& event : decided.events) {
    *record.add_events() = std::move(event);
  }
  record.set_answer(std::move(decided.answer));
  made.stored.position = record.position();
  made.stored.bytes = record.SerializeAsString();
  made.stored.hash = ChainedHash(hash_, made.stored.bytes);
  return made;
}

absl::StatusOr<std::optional<eventlog::v1::Record>> LogWriter::FindRepeated(
    const CommandOrigin& origin, const std::vector<Made>& batch) const {
  std::optional<eventlog::v1::Record> record;
  const std::optional<uint64_t> position =
      requests_->Find(origin.principal, origin.method, origin.request_id);
  if (!position.has_value() || *position <= begin_.position()) return record;
  if (!batch.empty() && *position >= batch.front().record.position()) {
    record = batch[*position - batch.front().record.position()].record;
  } else {
    BERTH_ASSIGN_OR_RETURN(const std::vector<StoredRecord> stored, log_->Read(*position - 1, 1));
    record.emplace();
    if (stored.size() != 1 || !record->ParseFromString(stored.front().bytes)) {
      return absl::DataLossError(absl::StrCat("stream ", stream_, ", position ", *position,
                                              ": the record cannot be read; restore a backup"));
    }
  }
  // The index knows hashes only, and two may be alike.
  if (record->actor().principal() != origin.principal || record->method() != origin.method ||
      record->request_id() != origin.request_id) {
    record.reset();
  }
  return record;
}

absl::StatusOr<std::string> LogWriter::AnswerRepeat(const CommandOrigin& origin,
                                                    const eventlog::v1::Record& record) const {
  if (record.request_hash() != KeyedFingerprint(origin.fingerprint)) {
    return WithReason(
        absl::InvalidArgumentError(
            "this request id was used for another request; use a new one for each request"),
        reason::kRequestIdReused);
  }
  if (record.outcome().code() != 0) return FromProto(record.outcome());
  return record.answer();
}

absl::Status LogWriter::CheckRoomForRequest() const {
  const std::optional<absl::Duration> delay = requests_->FullFor(clock_->Now());
  if (!delay.has_value()) return absl::OkStatus();
  return WithRetryDelay(
      WithReason(absl::ResourceExhaustedError(absl::StrCat(
                     stream_, " has taken ", limits_.request_ids_max,
                     " commands within a day, and must recognise each if it is repeated; there is "
                     "room for another in ",
                     absl::FormatDuration(*delay))),
                 reason::kRequestsFull, {{"limit", absl::StrCat(limits_.request_ids_max)}}),
      *delay);
}

absl::StatusOr<std::string> LogWriter::Carry(Item& item, std::vector<Made>* batch,
                                             std::vector<RowChange>* rows) {
  if (!item.origin.request_id.empty()) {
    BERTH_ASSIGN_OR_RETURN(const auto repeated, FindRepeated(item.origin, *batch));
    if (repeated.has_value()) return AnswerRepeat(item.origin, *repeated);
    BERTH_RETURN_IF_ERROR(CheckRoomForRequest());
  }
  if (clock_->Monotonic() < no_write_before_) return no_write_;
  DecisionContext context;
  context.principal = item.origin.principal;
  context.now = clock_->Now();
  context.position = position_ + 1;
  context.ids = ids_;
  absl::StatusOr<Outcome> decided = item.decide(context);
  const bool changed = decided.ok() && !(decided->events.empty() && decided->rows.empty());
  if (!changed && item.recorded == Recorded::kOnChange) {
    if (!decided.ok()) return decided.status();
    return std::move(decided->answer);
  }
  if (changed) {
    for (const eventlog::v1::StoredEvent& event : decided->events) {
      const absl::Status applied = machine_->Apply(event);
      BERTH_CHECK_MESSAGE(applied.ok(), applied.ToString());
    }
    rows->insert(rows->end(), decided->rows.begin(), decided->rows.end());
  }
  absl::StatusOr<std::string> answer;
  if (decided.ok()) {
    answer = decided->answer;
  } else {
    answer = decided.status();
  }
  Made made =
      MakeRecord(item.origin, decided.status(), decided.ok() ? *std::move(decided) : Outcome());
  Advance(made.stored, made.record);
  made.changes = machine_->TakeChanges();
  batch->push_back(std::move(made));
  return answer;
}

// False: the state's times could not be moved now.
bool LogWriter::FollowClock(absl::Time clock_zero, std::vector<Made>* batch,
                            std::vector<RowChange>* rows) {
  const absl::Duration by = clock_zero - clock_zero_;
  if (absl::AbsDuration(by) < limits_.clock_set_min) return true;
  Item item;
  item.origin.principal = holder_.name;
  item.origin.method = kClockSet;
  item.recorded = Recorded::kOnChange;
  item.decide = [this, by](const DecisionContext&) -> absl::StatusOr<Outcome> {
    return Outcome{machine_->ClockWasSet(by), "", {}};
  };
  if (!Carry(item, batch, rows).ok()) return false;
  if (!batch->empty()) {
    LogWarning("the clock was set", {{"stream", stream_}, {"by", absl::FormatDuration(by)}});
  }
  return true;
}

absl::Status LogWriter::WhyNotStored(const absl::Status& appended) const {
  return WithRetryDelay(absl::IsResourceExhausted(appended)
                            ? absl::ResourceExhaustedError(absl::StrCat(
                                  stream_, " cannot store anything: ", appended.message(),
                                  "; reads go on, free some space"))
                            : absl::UnavailableError(absl::StrCat(
                                  stream_, " cannot say whether this was stored: ",
                                  appended.message(), "; try again with the same request id")),
                        limits_.retry_delay);
}

void LogWriter::PauseWrites(const absl::Status& appended) {
  // The next append may well fail too, and costs a load of the state each time. Whoever brings
  // things about when it hears that the state was loaded would have it fail as fast as it can.
  no_write_before_ = clock_->Monotonic() + limits_.retry_delay;
  no_write_ = absl::IsResourceExhausted(appended)
                  ? WhyNotStored(appended)
                  : WithRetryDelay(absl::UnavailableError(absl::StrCat(
                                       stream_, " could not store anything a moment ago: ",
                                       appended.message(), "; try again in a moment")),
                                   limits_.retry_delay);
  executor_->PostAfter(limits_.retry_delay, [this, term = terms_] {
    if (serving_ && term == terms_) machine_->Loaded(position_);
  });
}

void LogWriter::Step() {
  std::deque<Item> items;
  {
    MutexLock lock(&mutex_);
    step_posted_ = false;
    if (!serving_) {
      items.swap(queue_);
    } else {
      while (!queue_.empty() && items.size() < limits_.batch_max) {
        items.push_back(std::move(queue_.front()));
        queue_.pop_front();
      }
      if (!queue_.empty()) {
        step_posted_ = true;
        executor_->Post([this] { Step(); });
      }
    }
  }
  if (items.empty()) return;
  const absl::Status failure = Leading();

  const uint64_t position_before = position_;
  std::vector<Made> batch;
  std::vector<RowChange> rows;
  std::vector<std::function<void(absl::Status)>> answers;
  const absl::Time clock_zero = ClockZero();
  const bool clock_followed = failure.ok() && FollowClock(clock_zero, &batch, &rows);
  for (Item& item : items) {
    if (item.decide == nullptr) {
      if (failure.ok()) item.read();
      answers.push_back(std::move(item.done));
    } else {
      absl::StatusOr<std::string> answer =
          failure.ok() ? Carry(item, &batch, &rows) : absl::StatusOr<std::string>(failure);
      answers.push_back(
          [answer = std::move(answer), to = std::move(item.answer)](absl::Status status) mutable {
            to(status.ok() ? std::move(answer) : absl::StatusOr<std::string>(status));
          });
    }
  }

  absl::Status appended = failure;
  if (failure.ok() && !batch.empty()) {
    std::vector<StoredRecord> records;
    records.reserve(batch.size());
    for (const Made& made : batch) records.push_back(made.stored);
    const absl::Duration begin = clock_->Monotonic();
    const bool with_snapshot = SnapshotIsDue();
    if (with_snapshot) rows.push_back(MakeSnapshot());
    appended = log_->Append(position_before, records, rows);
    if (with_snapshot && !appended.ok()) {
      no_snapshot_before_ = position_ + limits_.snapshot_records;
    }
    if (observer_.appended != nullptr) {
      observer_.appended(records.size(), appended, clock_->Monotonic() - begin);
    }
  }
  if (failure.ok() && !appended.ok()) {
    LogError("an append failed", {{"stream", stream_}, {"why", appended.message()}});
    const absl::Status why = WhyNotStored(appended);
    for (auto& answer : answers) answer(why);
    // The working state is ahead of the log, or the log ahead of what we know: read it again. Where
    // somebody else has appended, or has the lease, this process leads no more.
    absl::Status loaded = Load();
    // It was stored all the same.
    if (position_ > position_before && clock_followed) clock_zero_ = clock_zero;
    if (!loaded.ok() || absl::IsAborted(appended)) {
      return StepDown(loaded.ok() ? appended : loaded);
    }
    PauseWrites(appended);
    EraseCutOff();  // If it was a cut, and stored all the same.
    return machine_->Loaded(position_);
  }
  // Callers are answered after the append, although the working state changed before it. Answering
  // earlier would be faster and wrong: a crash between the two would take back what a caller heard.
  // Publishing comes first so that a watch that a read of this batch begins is not told of it
  // again.
  durable_position_ = position_;
  if (clock_followed) clock_zero_ = clock_zero;
  for (Made& made : batch) {
    hub_.Publish(ToRevision(made.stored.position, made.stored.hash), std::move(made.changes));
  }
  for (auto& answer : answers) answer(failure);
  for (const Made& made : batch) {
    if (made.record.events_size() > 0) machine_->Published(made.record);
  }
  if (!batch.empty() && changed_ != nullptr) changed_();
}

}  // namespace berth
