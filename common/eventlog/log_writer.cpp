#include "common/eventlog/log_writer.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/crypto/hash.h"
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
// The row with the key under which request fingerprints are hashed: whoever reads a log cannot try
// out what a request said.
constexpr char kRequestKeyRow[] = "log/request-key";
constexpr size_t kRevisionHashSize = 16;
constexpr size_t kRecordHashSize = 32;

google::rpc::Status ToProto(const absl::Status& status) {
  google::rpc::Status proto;
  proto.set_code(static_cast<int>(status.code()));
  // A message quotes what it is about, perhaps cut; the record must be readable for ever.
  proto.set_message(ToUtf8(status.message()));
  status.ForEachPayload([&](absl::string_view type_url, const absl::Cord& payload) {
    google::protobuf::Any* detail = proto.add_details();
    detail->set_type_url(std::string(type_url));
    detail->set_value(std::string(payload));
  });
  return proto;
}

absl::Status FromProto(const google::rpc::Status& proto) {
  absl::Status status(static_cast<absl::StatusCode>(proto.code()), proto.message());
  for (const google::protobuf::Any& detail : proto.details()) {
    status.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
  return status;
}

std::string RequestKey(const std::string& principal, const std::string& method,
                       const std::string& request_id) {
  // Neither a principal nor a method holds a NUL, so the parts cannot run into each other.
  return absl::StrCat(principal, std::string(1, '\0'), method, std::string(1, '\0'), request_id);
}

watch::v1::Revision ToRevision(uint64_t position, const std::string& hash) {
  watch::v1::Revision revision;
  revision.set_position(position);
  revision.set_hash(hash.substr(0, kRevisionHashSize));
  return revision;
}

absl::Status NotServing(absl::string_view stream) {
  return WithRetryDelay(
      WithReason(absl::UnavailableError(
                     absl::StrCat(stream,
                                  " is not serving: its log is being loaded or cannot be reached; "
                                  "try again in a moment")),
                 reason::kNotReady),
      absl::Seconds(1));
}

}  // namespace

LogWriter::LogWriter(std::string stream, Limits limits, EventLog* log, StateMachine* machine,
                     Executor* executor, const Clock* clock, IdSource* ids)
    : stream_(std::move(stream)),
      limits_(limits),
      log_(log),
      machine_(machine),
      executor_(executor),
      clock_(clock),
      ids_(ids),
      hub_(limits.watch, [this](std::shared_ptr<Watcher> watcher) {
        // A writer that cannot serve now resyncs everyone when it can again.
        EnqueueWatch(std::move(watcher), std::nullopt, [](absl::Status) {});
      }) {}

void LogWriter::Start(std::string holder, std::function<void(absl::Status)> started) {
  executor_->Post([this, holder = std::move(holder), started = std::move(started)]() mutable {
    holder_ = std::move(holder);
    started_ = std::move(started);
    TryStart();
  });
}

void LogWriter::TryStart() {
  absl::Status status = log_->TakeLease(holder_, limits_.lease_duration);
  if (status.ok()) {
    lease_taken_ = clock_->Monotonic();
    status = Load();
    if (status.ok()) status = Lead();
  }
  if (absl::IsUnavailable(status) || absl::IsAborted(status) || absl::IsResourceExhausted(status)) {
    LogWarning("the log cannot be served yet", {{"stream", stream_}, {"why", status.message()}});
    executor_->PostAfter(limits_.retry_delay, [this] { TryStart(); });
    return;
  }
  serving_ = status.ok();
  if (serving_) {
    executor_->PostAfter(limits_.lease_renewal, [this] { RenewLease(); });
    Step();
  }
  if (started_ != nullptr) std::exchange(started_, nullptr)(status);
}

void LogWriter::RenewLease() {
  if (!serving_) return;
  if (absl::Status status = log_->TakeLease(holder_, limits_.lease_duration); status.ok()) {
    lease_taken_ = clock_->Monotonic();
  } else if (LeaseMayHaveEnded() || !absl::IsUnavailable(status)) {
    FailServing(status);
    return;
  }
  executor_->PostAfter(limits_.lease_renewal, [this] { RenewLease(); });
  // The renewal's pace is also the bookmarks': often enough for both.
  hub_.MarkIdle();
}

bool LogWriter::LeaseMayHaveEnded() const {
  return clock_->Monotonic() - lease_taken_ >= limits_.lease_duration;
}

void LogWriter::FailServing(absl::Status why) {
  LogError("the log stopped being served", {{"stream", stream_}, {"why", why.message()}});
  serving_ = false;
  // Everything that waits is answered now rather than after the next successful start.
  std::deque<Item> waiting;
  {
    MutexLock lock(&mutex_);
    waiting.swap(queue_);
  }
  for (Item& item : waiting) {
    if (item.decide != nullptr) {
      item.answer(NotServing(stream_));
    } else {
      item.done(NotServing(stream_));
    }
  }
  executor_->PostAfter(limits_.retry_delay, [this] { TryStart(); });
}

absl::Status LogWriter::Load() {
  machine_->Reset();
  machine_->TakeChanges();
  position_ = 0;
  hash_.assign(kRecordHashSize, '\0');
  request_ids_.clear();
  request_ids_by_age_.clear();

  // The hub's rings hold what the last records changed, so that watchers can resume. The log's
  // length is not known before its end is reached: every chunk's records are kept as if they were
  // the last ones.
  struct Recent {
    watch::v1::Revision revision;
    std::vector<TopicChange> changes;
  };
  std::deque<Recent> recent;
  uint64_t refilled_after = 0;
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const std::vector<StoredRecord> chunk,
                           log_->Read(position_, limits_.replay_chunk));
    if (chunk.empty()) break;
    for (const StoredRecord& stored : chunk) {
      const std::string where = absl::StrCat("stream ", stream_, ", position ", stored.position);
      if (stored.position != position_ + 1) {
        return absl::DataLossError(
            absl::StrCat(where, ": position ", position_ + 1, " is missing; restore a backup"));
      }
      if (Blake2b256({hash_, stored.bytes}) != stored.hash) {
        return absl::DataLossError(
            absl::StrCat(where,
                         ": the record is not the one that was written (its hash does not chain); "
                         "restore a backup"));
      }
      eventlog::v1::Record record;
      if (!record.ParseFromString(stored.bytes) || record.position() != stored.position ||
          record.stream() != stream_) {
        return absl::DataLossError(absl::StrCat(where, ": the record cannot be read"));
      }
      for (const eventlog::v1::StoredEvent& event : record.events()) {
        if (absl::Status status = machine_->Apply(event); !status.ok()) {
          return Annotate(status, where);
        }
      }
      position_ = stored.position;
      hash_ = stored.hash;
      Remember(record);
      recent.push_back({ToRevision(position_, hash_), machine_->TakeChanges()});
      if (recent.size() > limits_.watch_refill_records) {
        refilled_after = recent.front().revision.position();
        recent.pop_front();
      }
    }
  }
  durable_position_ = position_;
  hub_.Reset(refilled_after);
  for (Recent& past : recent) hub_.Publish(past.revision, std::move(past.changes));
  machine_->Loaded(position_);
  return absl::OkStatus();
}

absl::Status LogWriter::Lead() {
  BERTH_ASSIGN_OR_RETURN(std::optional<std::string> key, log_->GetRow(kRequestKeyRow));
  std::vector<RowChange> rows;
  if (!key.has_value()) {
    key = absl::StrCat(ids_->NewNonce(), ids_->NewNonce());
    rows.push_back({kRequestKeyRow, key});
  }
  request_key_ = *key;

  CommandOrigin origin;
  origin.principal = holder_;
  origin.method = kLeaderStarted;
  Made made = MakeRecord(origin, absl::OkStatus(), {});
  BERTH_RETURN_IF_ERROR(log_->Append(position_, {made.stored}, rows));
  position_ = made.stored.position;
  hash_ = made.stored.hash;
  durable_position_ = position_;
  hub_.Publish(Head(), {});
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
                if (status.ok()) {
                  const bool own = resume.has_value() && IsOwnRevision(*resume);
                  if (!own || !hub_.Resume(watcher, *resume)) {
                    hub_.Snapshot(watcher, Head(), resume.has_value() && !own,
                                  [&] { return machine_->Entries(watcher->topic()); });
                  }
                }
                done(status);
              });
}

bool LogWriter::IsOwnRevision(const watch::v1::Revision& revision) {
  if (revision.position() == 0 || revision.position() > position_) return false;
  if (revision.position() == position_) {
    return revision.hash() == hash_.substr(0, kRevisionHashSize);
  }
  const auto records = log_->Read(revision.position() - 1, 1);
  return records.ok() && records->size() == 1 && records->front().position == revision.position() &&
         records->front().hash.substr(0, kRevisionHashSize) == revision.hash();
}

LogWriter::Numbers LogWriter::numbers() const {
  MutexLock lock(&mutex_);
  return {serving_, durable_position_, queue_.size(), queue_refused_};
}

watch::v1::Revision LogWriter::Head() const { return ToRevision(position_, hash_); }

std::string LogWriter::KeyedFingerprint(const std::string& fingerprint) const {
  return KeyedBlake2b128(request_key_, fingerprint);
}

void LogWriter::Remember(const eventlog::v1::Record& record) {
  if (record.request_id().empty()) return;
  std::string key = RequestKey(record.actor().principal(), record.method(), record.request_id());
  request_ids_[key] = record.position();
  request_ids_by_age_.push_back(std::move(key));
  if (request_ids_by_age_.size() > limits_.request_ids_max) {
    request_ids_.erase(request_ids_by_age_.front());
    request_ids_by_age_.pop_front();
  }
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
  *record.mutable_outcome() = ToProto(outcome);
  for (eventlog::v1::StoredEvent& event : decided.events) {
    *record.add_events() = std::move(event);
  }
  record.set_answer(std::move(decided.answer));
  made.stored.position = record.position();
  made.stored.bytes = record.SerializeAsString();
  made.stored.hash = Blake2b256({hash_, made.stored.bytes});
  return made;
}

absl::StatusOr<std::string> LogWriter::AnswerRepeat(const CommandOrigin& origin, uint64_t position,
                                                    const std::vector<Made>& batch) {
  eventlog::v1::Record record;
  if (!batch.empty() && position >= batch.front().record.position()) {
    record = batch[position - batch.front().record.position()].record;
  } else {
    BERTH_ASSIGN_OR_RETURN(const std::vector<StoredRecord> stored, log_->Read(position - 1, 1));
    if (stored.size() != 1 || !record.ParseFromString(stored.front().bytes)) {
      return absl::DataLossError(
          absl::StrCat("stream ", stream_, ", position ", position, ": the record cannot be read"));
    }
  }
  if (record.request_hash() != KeyedFingerprint(origin.fingerprint)) {
    return WithReason(
        absl::InvalidArgumentError(
            "this request id was used for another request; use a new one for each request"),
        reason::kRequestIdReused);
  }
  if (record.outcome().code() != 0) return FromProto(record.outcome());
  return record.answer();
}

absl::StatusOr<std::string> LogWriter::Carry(Item& item, std::vector<Made>* batch,
                                             std::vector<RowChange>* rows) {
  if (!item.origin.request_id.empty()) {
    const auto known = request_ids_.find(
        RequestKey(item.origin.principal, item.origin.method, item.origin.request_id));
    if (known != request_ids_.end()) return AnswerRepeat(item.origin, known->second, *batch);
  }
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
  position_ = made.stored.position;
  hash_ = made.stored.hash;
  made.changes = machine_->TakeChanges();
  Remember(made.record);
  batch->push_back(std::move(made));
  return answer;
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
  absl::Status failure = absl::OkStatus();
  if (!serving_ || LeaseMayHaveEnded()) failure = NotServing(stream_);

  const uint64_t position_before = position_;
  std::vector<Made> batch;
  std::vector<RowChange> rows;
  std::vector<std::function<void(absl::Status)>> answers;
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
    if (clock_->Monotonic() < no_write_before_) {
      appended = absl::ResourceExhaustedError("the disk was full a moment ago");
    } else {
      const absl::Duration begin = clock_->Monotonic();
      appended = log_->Append(position_before, records, rows);
      if (observer_.appended != nullptr) {
        observer_.appended(records.size(), appended, clock_->Monotonic() - begin);
      }
    }
  }
  if (failure.ok() && !appended.ok()) {
    LogError("an append failed", {{"stream", stream_}, {"why", appended.message()}});
    const bool full = absl::IsResourceExhausted(appended);
    if (full && clock_->Monotonic() >= no_write_before_) {
      no_write_before_ = clock_->Monotonic() + limits_.retry_delay;
    }
    const absl::Status why = WithRetryDelay(
        full ? absl::ResourceExhaustedError(
                   absl::StrCat(stream_, " cannot store anything: ", appended.message(),
                                "; reads go on, free some space"))
             : absl::UnavailableError(absl::StrCat(
                   stream_, " cannot say whether this was stored: ", appended.message(),
                   "; try again with the same request id")),
        limits_.retry_delay);
    for (auto& answer : answers) answer(why);
    // The working state is ahead of the log, or the log ahead of what we know: read it again.
    if (absl::Status loaded = Load(); !loaded.ok()) FailServing(loaded);
    return;
  }
  // Callers are answered after the append, although the working state changed before it. Answering
  // earlier would be faster and wrong: a crash between the two would take back what a caller heard.
  // Publishing comes first so that a watch that a read of this batch begins is not told of it
  // again.
  durable_position_ = position_;
  for (Made& made : batch) {
    hub_.Publish(ToRevision(made.stored.position, made.stored.hash), std::move(made.changes));
  }
  for (auto& answer : answers) answer(failure);
  for (const Made& made : batch) {
    if (made.record.events_size() > 0) machine_->Published(made.record);
  }
}

}  // namespace berth
