#pragma once

// Tests of a pure State: given events, when a command, then events or a refusal.

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/eventlog/logged_state.h"
#include "common/eventlog/saved_state.h"
#include "common/testing/printers.h"
#include "common/testing/stored_sections.h"
#include "common/testing/topic_mirror.h"

namespace berth::testing {

template <typename Event>
std::string ToText(const std::vector<Event>& events) {
  std::string text;
  for (const Event& event : events) text += event.ShortDebugString() + "\n";
  return text;
}

// What a command led to.
template <typename Decided>
class Outcome {
 public:
  using Decision = typename Decided::value_type;
  using Event = typename Decision::Event;

  explicit Outcome(Decided decided) : decided_(std::move(decided)) {}

  // Exactly these events, and the answer for further checks.
  const typename Decision::Response& Then(const std::vector<Event>& events) const {
    const typename Decision::Response& response = ThenDone();
    CHECK(ToText(decided_->events) == ToText(events));
    return response;
  }
  // All is so already.
  const typename Decision::Response& ThenNothing() const { return Then({}); }
  // It is done, whatever that took.
  const typename Decision::Response& ThenDone() const {
    REQUIRE(decided_.status() == absl::OkStatus());
    return decided_->response;
  }
  void ThenRefused(absl::StatusCode code, const std::string& why = "") const {
    REQUIRE(decided_.status().code() == code);
    CHECK_THAT(std::string(decided_.status().message()), Catch::Contains(why));
  }
  const std::vector<Event>& events() const { return decided_->events; }

 private:
  const Decided decided_;
};

// A state and all that has happened to it. After every event each topic that was ever touched must
// read the same by its changes and by a snapshot.
//
// The state is also saved and taken up anew after every event, and decisions are made on that: a
// service that starts from a snapshot goes on as if it had never stopped.
template <typename State>
class Scenario {
 public:
  using Event = typename State::Event;

  explicit Scenario(ReadTopicValue read) : read_(read), mirror_(std::move(read)) {}

  // This happened.
  Scenario& Given(const std::vector<Event>& events) {
    for (const Event& event : events) {
      never_saved_.Apply(event);
      state_.Apply(event);
      REQUIRE((Saved(state_) == Saved(never_saved_)));
      state_ = TakenUp(Saved(state_));
      history_.push_back(event);
      mirror_.Applied(state_, event);
      mirror_.Check(state_);
    }
    return *this;
  }

  // Decides with State::Decide, and what was decided happens.
  template <typename... Arguments>
  auto When(const Arguments&... arguments) {
    auto decided = std::as_const(state_).Decide(arguments...);
    if (decided.ok()) Given(decided->events);
    return Outcome<decltype(decided)>(std::move(decided));
  }

  // All that happened, stored and read back, leads to a state whose topics say the same.
  void CheckReplay() const {
    State replayed;
    TopicMirror<State> mirror(read_);
    for (const Event& event : history_) {
      Event stored;
      REQUIRE(stored.ParseFromString(event.SerializeAsString()));
      replayed.Apply(stored);
      mirror.Applied(replayed, stored);
    }
    mirror.Check(replayed);
    mirror_.Check(replayed);
    REQUIRE((Saved(replayed) == Saved(state_)));
    CheckSnapshots();
  }

  const State& state() const { return state_; }
  const std::vector<Event>& history() const { return history_; }

 private:
  // A snapshot taken at any moment, and all that happened since, lead to the same state.
  void CheckSnapshots() const {
    State replayed;
    for (size_t position = 0; position < history_.size(); ++position) {
      State started = TakenUp(Saved(replayed));
      for (size_t next = position; next < history_.size(); ++next) started.Apply(history_[next]);
      INFO("a snapshot taken after " << position << " events");
      REQUIRE((Saved(started) == Saved(state_)));
      mirror_.Check(started);
      replayed.Apply(history_[position]);
    }
  }

  static std::string Saved(const State& state) { return ToDeterministicBytes(state.Save()); }

  static State TakenUp(const std::string& bytes) {
    typename State::Snapshot saved;
    REQUIRE(saved.ParseFromString(bytes));
    State state;
    state.Load(saved);
    REQUIRE((Saved(state) == bytes));
    return state;
  }

  const ReadTopicValue read_;
  State state_;        // Saved and taken up after every event.
  State never_saved_;  // The same, without that.
  std::vector<Event> history_;
  TopicMirror<State> mirror_;
};

// Takes up each state that `service` ever saved: it is taken up whole, so that saving it and taking
// that up changes nothing.
template <typename State>
void CheckStoredStates(const std::string& service) {
  const std::string path = absl::StrCat("protos/berth/", service, "/v1/stored_state.txt");
  const std::map<std::string, StoredSection> sections = ReadStoredSections(path);
  REQUIRE_FALSE(sections.empty());
  for (const auto& [name, section] : sections) {
    INFO(path << ": " << name);
    LoggedStateOf<State> state;
    REQUIRE(state.LoadSaved(section.bytes) == absl::OkStatus());
    const std::string saved = state.Save();
    REQUIRE(state.LoadSaved(saved) == absl::OkStatus());
    CHECK(state.Save() == saved);
    CHECK(saved.size() > section.bytes.size() / 2);
  }
}

}  // namespace berth::testing
