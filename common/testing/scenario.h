#pragma once

// Tests of a pure State: given events, when a command, then events or a refusal.

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/testing/printers.h"
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
template <typename State>
class Scenario {
 public:
  using Event = typename State::Event;

  explicit Scenario(ReadTopicValue read) : read_(read), mirror_(std::move(read)) {}

  // This happened.
  Scenario& Given(const std::vector<Event>& events) {
    for (const Event& event : events) {
      state_.Apply(event);
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
  }

  const State& state() const { return state_; }
  const std::vector<Event>& history() const { return history_; }

 private:
  const ReadTopicValue read_;
  State state_;
  std::vector<Event> history_;
  TopicMirror<State> mirror_;
};

}  // namespace berth::testing
