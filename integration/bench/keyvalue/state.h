#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "common/eventlog/event_sourced.h"
#include "keyvalue.pb.h"

namespace berth::keyvalue {

// Keys with values: a State as small as they come, so that what is measured is what all states are
// built on.
class State {
 public:
  using Event = v1::Event;
  using Snapshot = v1::StateSnapshot;
  static constexpr uint32_t kStateVersion = 1;

  Decided<Event, v1::PutResponse> Decide(const v1::PutRequest& request) const {
    Decision<Event, v1::PutResponse> decision;
    v1::KeyPut& put = *decision.events.emplace_back().mutable_put();
    put.set_key(request.key());
    put.set_value(request.value());
    return decision;
  }

  void Apply(const Event& event) { values_[event.put().key()] = event.put().value(); }

  void Touched(const Event& event, std::set<TopicKey>* keys) const {
    keys->insert({kTopic, event.put().key()});
  }
  std::optional<std::string> View(const TopicKey& key) const { return values_.at(key.second); }
  TopicEntries Entries(const std::string&) const { return {values_.begin(), values_.end()}; }

  Snapshot Save() const {
    Snapshot saved;
    for (const auto& [key, value] : values_) {
      v1::KeyPut& put = *saved.add_keys();
      put.set_key(key);
      put.set_value(value);
    }
    return saved;
  }
  void Load(const Snapshot& saved) {
    values_.clear();
    for (const v1::KeyPut& put : saved.keys()) values_[put.key()] = put.value();
  }

  static constexpr char kTopic[] = "keys";

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace berth::keyvalue
