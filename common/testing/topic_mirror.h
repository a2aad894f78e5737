#pragma once

// What a watcher holds who has followed every topic of a state from its first event, and whether a
// snapshot taken now would say the same.

#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "common/eventlog/event_sourced.h"

namespace berth::testing {

// The value of a key of a topic, for people. Values are compared as this shows them: protobuf does
// not promise the same bytes for the same map.
using ReadTopicValue = std::function<std::string(const TopicKey& key, const std::string& value)>;

template <typename State>
class TopicMirror {
 public:
  explicit TopicMirror(ReadTopicValue read) : read_(std::move(read)) {}

  // The state has just applied the event.
  void Applied(const State& state, const typename State::Event& event) {
    std::set<TopicKey> touched;
    state.Touched(event, &touched);
    for (const TopicKey& key : touched) {
      std::map<std::string, std::string>& entries = topics_[key.first];
      if (const auto value = state.View(key)) {
        entries[key.second] = read_(key, *value);
      } else {
        entries.erase(key.second);
      }
    }
  }

  // Fails the test where a snapshot of a topic differs from what its changes added up to.
  void Check(const State& state) const {
    for (const auto& [topic, followed] : topics_) {
      std::map<std::string, std::string> snapshot;
      for (const auto& [key, value] : state.Entries(topic)) {
        snapshot[key] = read_({topic, key}, value);
      }
      INFO("topic " << topic);
      REQUIRE(ToText(snapshot) == ToText(followed));
    }
  }

 private:
  static std::string ToText(const std::map<std::string, std::string>& entries) {
    std::string text;
    for (const auto& [key, value] : entries) text += key + ": " + value + "\n";
    return text;
  }

  const ReadTopicValue read_;
  std::map<std::string, std::map<std::string, std::string>> topics_;
};

}  // namespace berth::testing
