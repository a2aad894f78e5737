#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "berth/eventlog/v1/record.pb.h"
#include "common/check/check.h"
#include "common/eventlog/event_sourced.h"
#include "common/watch/watch_hub.h"

namespace berth::simulation {

// A stream's state, made of its records alone.
class StreamModel {
 public:
  virtual ~StreamModel() = default;

  // Applies a record and returns what it changed, topic by topic.
  virtual std::vector<TopicChange> Apply(const eventlog::v1::Record& record) = 0;

  virtual TopicEntries Entries(const std::string& topic) const = 0;
};

// The same with the State of a service.
template <typename State>
class ReplayOf : public StreamModel {
 public:
  std::vector<TopicChange> Apply(const eventlog::v1::Record& record) override {
    std::set<TopicKey> touched;
    for (const eventlog::v1::StoredEvent& stored : record.events()) {
      typename State::Event event;
      BERTH_CHECK(event.ParseFromString(stored.payload()));
      state_.Apply(event);
      state_.Touched(event, &touched);
    }
    std::vector<TopicChange> changes;
    for (const TopicKey& key : touched)
      changes.push_back({key.first, key.second, state_.View(key)});
    return changes;
  }

  TopicEntries Entries(const std::string& topic) const override { return state_.Entries(topic); }

  const State& state() const { return state_; }

 private:
  State state_;
};

}  // namespace berth::simulation
