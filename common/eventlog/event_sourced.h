#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/check/check.h"
#include "common/eventlog/decision.h"
#include "common/eventlog/log_writer.h"
#include "common/eventlog/logged_state.h"

namespace berth {

// A key of a topic that an event may have changed.
using TopicKey = std::pair<std::string, std::string>;

// A pure State over an event log: LogWriter with the types of one service.
//
// State is a value with
//   using Event = …;                                  the service's Event message, one oneof
//   void Apply(const Event&);                         total
//   void Touched(const Event&, std::set<TopicKey>*) const;
//                                              after Apply: what a watch may show anew
//   std::optional<std::string> View(const TopicKey&) const;    nullopt: gone
//   TopicEntries Entries(const std::string& topic) const;
//   using Snapshot = …;           a message with the whole state; lists in key order; gains fields
//   Snapshot Save() const;
//   void Load(const Snapshot&);        total: the state is then what was saved, by this version or
//                                      an earlier one, of which it may be all that is left
//   static constexpr uint32_t kStateVersion;      raised where Apply means another state by events
// if events of it name what belongs to an org, but not the org:
//   std::string OrgOf(const Event&) const;     before Apply; empty: the event names it, or has none
// if it keeps times that timers run by, what moves them when the wall clock was set by `by`:
//   std::vector<Event> ClockWasSet(absl::Duration by) const;
// if it knows what rows beside the log have to say:
//   absl::Status CheckRows(const RowsByKey&) const;    kDataLoss: one is missing or was changed
// and whatever Decide functions and queries the service calls. No clock, randomness, threads, I/O
// or logging inside.
//
// Threads are as LogWriter says: calls from anywhere, callbacks on the executor.
template <typename State>
class EventSourced : private LoggedStateOf<State, StateMachine> {
 public:
  using Event = typename State::Event;

  // What the service does about news; called on the executor. Each may be empty.
  struct Observer {
    // This process leads, and the state is as of `position`: when it begins to lead, and when the
    // state was loaded again. What only a leader does begins here.
    std::function<void(const State&, uint64_t position)> loaded = {};
    // The record at `position` is durable; these are its events, never none. Not while it stands
    // by.
    std::function<void(const State&, const std::vector<Event>&, uint64_t position)> published = {};
    // It leads no more.
    std::function<void()> stepped_down = {};
  };

  EventSourced(std::string stream, LogWriter::Limits limits, EventLog* log, Executor* executor,
               const Clock* clock, IdSource* ids, Observer observer = {})
      : observer_(std::move(observer)),
        writer_(std::move(stream), limits, log, this, executor, clock, ids) {}

  void Start(LeaseHolder holder, std::function<void(absl::Status)> started) {
    writer_.Start(std::move(holder), std::move(started));
  }

  // `stepped_down` is called after the observer's. Before Start.
  void WhenSteppedDown(std::function<void(const absl::Status&)> stepped_down) {
    stepped_down_ = std::move(stepped_down);
  }

  // Decides with `decide(state, context)`, which returns Decided<Event, Response>, and answers once
  // the outcome is durable.
  template <typename Response, typename DecideFunction>
  void Execute(CommandOrigin origin, Recorded recorded, DecideFunction decide,
               std::function<void(absl::StatusOr<Response>)> answer) {
    writer_.EnqueueCommand(
        std::move(origin), recorded,
        [this, decide = std::move(decide)](
            const DecisionContext& context) -> absl::StatusOr<LogWriter::Outcome> {
          Decided<Event, Response> decided = decide(std::as_const(state_), context);
          if (!decided.ok()) return decided.status();
          LogWriter::Outcome outcome;
          outcome.events = Stored(decided->events);
          outcome.answer = decided->response.SerializeAsString();
          outcome.rows = std::move(decided->rows);
          return outcome;
        },
        [answer = std::move(answer)](absl::StatusOr<std::string> bytes) {
          if (!bytes.ok()) return answer(bytes.status());
          Response response;
          BERTH_CHECK(response.ParseFromString(*bytes));
          answer(std::move(response));
        });
  }

  // Records that a call was refused before it reached a decision.
  void RecordRefusal(CommandOrigin origin, absl::Status refusal,
                     std::function<void(absl::Status)> done) {
    writer_.EnqueueCommand(
        std::move(origin), Recorded::kAlways,
        [refusal](const DecisionContext&) -> absl::StatusOr<LogWriter::Outcome> { return refusal; },
        [done = std::move(done)](absl::StatusOr<std::string> answer) { done(answer.status()); });
  }

  // Answers with `query(state)`, which returns absl::StatusOr<Result>, as of its place in the
  // queue.
  template <typename Result, typename Query>
  void Read(Query query, std::function<void(absl::StatusOr<Result>)> answer) {
    auto result = std::make_shared<std::optional<absl::StatusOr<Result>>>();
    writer_.EnqueueRead(
        [this, result, query = std::move(query)] { *result = query(std::as_const(state_)); },
        [result, answer = std::move(answer)](absl::Status status) {
          if (status.ok()) {
            answer(std::move(**result));
          } else {
            answer(std::move(status));
          }
        });
  }

  LogWriter& writer() { return writer_; }

 private:
  using Machine = LoggedStateOf<State, StateMachine>;
  using Machine::state_;

  std::vector<eventlog::v1::StoredEvent> Stored(const std::vector<Event>& events) const {
    std::vector<eventlog::v1::StoredEvent> all;
    for (const Event& event : events) {
      eventlog::v1::StoredEvent& stored = all.emplace_back();
      stored.set_type(static_cast<uint32_t>(event.event_case()));
      stored.set_version(Machine::kEventVersion);
      event.SerializeToString(stored.mutable_payload());
      if constexpr (requires { state_.OrgOf(event); }) stored.set_org(state_.OrgOf(event));
    }
    return all;
  }

  std::vector<eventlog::v1::StoredEvent> ClockWasSet(absl::Duration by) const override {
    if constexpr (requires { state_.ClockWasSet(by); }) return Stored(state_.ClockWasSet(by));
    return {};
  }

  void Applied(const Event& event) override {
    if (notes_changes_) state_.Touched(event, &touched_);
  }

  void Reset() override {
    Machine::Reset();
    touched_.clear();
    notes_changes_ = true;
  }

  std::vector<TopicChange> TakeChanges() override {
    std::vector<TopicChange> changes;
    for (const TopicKey& key : touched_) {
      changes.push_back({key.first, key.second, state_.View(key)});
    }
    touched_.clear();
    return changes;
  }

  void NoteChanges(bool note) override { notes_changes_ = note; }

  TopicEntries Entries(const std::string& topic) const override { return state_.Entries(topic); }

  absl::Status LoadSaved(const std::string& bytes) override {
    touched_.clear();
    return Machine::LoadSaved(bytes);
  }

  std::unique_ptr<LoggedState> NewState() const override {
    return std::make_unique<LoggedStateOf<State>>();
  }

  void Loaded(uint64_t position) override {
    if (observer_.loaded != nullptr) observer_.loaded(state_, position);
  }

  void SteppedDown(const absl::Status& why) override {
    if (observer_.stepped_down != nullptr) observer_.stepped_down();
    if (stepped_down_ != nullptr) stepped_down_(why);
  }

  void Published(const eventlog::v1::Record& record) override {
    if (observer_.published == nullptr) return;
    std::vector<Event> events(static_cast<size_t>(record.events_size()));
    for (int i = 0; i < record.events_size(); ++i) {
      BERTH_CHECK(events[static_cast<size_t>(i)].ParseFromString(record.events(i).payload()));
    }
    observer_.published(state_, events, record.position());
  }

  std::set<TopicKey> touched_;
  bool notes_changes_ = true;  // In touched_.
  const Observer observer_;
  std::function<void(const absl::Status&)> stepped_down_;
  LogWriter writer_;
};

}  // namespace berth
