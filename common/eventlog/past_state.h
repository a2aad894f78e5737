#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/eventlog/replayable.h"
#include "common/eventlog/saved_state.h"
#include "common/eventlog/stored_event.h"
#include "common/status/status_macros.h"

namespace berth {

// A service's State as a Replay made it, by the same Apply that makes the working one; nothing
// decides on it. State is as event_sourced.h says.
template <typename State>
class PastState : public Replayable {
 public:
  const State& state() const { return state_; }

  void Reset() override { state_ = State(); }

  absl::Status Apply(const eventlog::v1::StoredEvent& stored) override {
    BERTH_ASSIGN_OR_RETURN(const auto event, EventOf<typename State::Event>(stored));
    state_.Apply(event);
    return absl::OkStatus();
  }

  absl::Status LoadSaved(const std::string& bytes) override {
    typename State::Snapshot saved;
    if (!saved.ParseFromString(bytes)) return absl::DataLossError("the state cannot be read");
    state_.Load(saved);
    return absl::OkStatus();
  }

  std::string SavedFormat() const override {
    return SavedStateFormat(*State::Snapshot::descriptor(), State::kStateVersion);
  }

 private:
  State state_;
};

}  // namespace berth
