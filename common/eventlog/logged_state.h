#pragma once

#include <google/protobuf/arena.h>

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "berth/eventlog/v1/record.pb.h"
#include "common/eventlog/saved_state.h"

namespace berth {

// Rows beside a log, by key.
using RowsByKey = std::map<std::string, std::string>;

// A state as bytes, right after the record at `position`.
struct SavedState {
  uint64_t position = 0;
  std::string record_hash;  // Of that record.
  std::string format;       // LoggedState::SavedFormat.
  std::string bytes;        // LoggedState::Save.
};

// A service's state as what its log makes it: events in, bytes out.
class LoggedState {
 public:
  virtual ~LoggedState() = default;

  // Back to the state before any event.
  virtual void Reset() = 0;

  // kDataLoss: the event cannot be decoded.
  virtual absl::Status Apply(const eventlog::v1::StoredEvent& event) = 0;

  // The whole state; the same state is the same bytes.
  virtual std::string Save() const = 0;
  // Back to a state that was saved, by this version or an earlier one. kDataLoss: these bytes are
  // none, or say what only a later version knows; the state is then as after Reset.
  virtual absl::Status LoadSaved(const std::string& bytes) = 0;
  // Another value wherever saved states are to be read in another way.
  virtual std::string SavedFormat() const = 0;
  // The version of what events mean to the state; it never goes down.
  virtual uint32_t StateVersion() const = 0;

  // Whether the rows beside the log are those that this state says are there. kDataLoss: one is
  // missing or was changed, and the message names it.
  virtual absl::Status CheckRows(const RowsByKey& rows) const = 0;
};

// The LoggedState of a service's State, whose shape is described at EventSourced. `Interface` is
// LoggedState, or an interface that adds to it.
template <typename State, typename Interface = LoggedState>
class LoggedStateOf : public Interface {
 public:
  using Event = typename State::Event;

  // Of every event so far (StoredEvent.version).
  static constexpr uint32_t kEventVersion = 1;

  const State& state() const { return state_; }

  void Reset() override { state_ = State(); }

  absl::Status Apply(const eventlog::v1::StoredEvent& stored) override {
    // Most events fit, so that they cost no allocation.
    alignas(8) char block[kArenaBlockBytes];
    google::protobuf::Arena arena(block, sizeof(block));
    Event& event = *google::protobuf::Arena::CreateMessage<Event>(&arena);
    // A later meaning of a known event must not be taken for the one that is known here.
    if (stored.version() > kEventVersion || !event.ParseFromString(stored.payload()) ||
        event.event_case() == Event::EVENT_NOT_SET) {
      return absl::DataLossError(absl::StrCat(
          "event type ", stored.type(), " version ", stored.version(),
          " is not known to this version of Berth; run the version that wrote it or a newer one"));
    }
    state_.Apply(event);
    Applied(event);
    return absl::OkStatus();
  }

  std::string Save() const override { return ToDeterministicBytes(state_.Save()); }

  absl::Status LoadSaved(const std::string& bytes) override {
    typename State::Snapshot saved;
    if (!saved.ParseFromString(bytes)) return absl::DataLossError("the state cannot be read");
    const size_t size = saved.ByteSizeLong();
    saved.DiscardUnknownFields();
    if (saved.ByteSizeLong() != size) {
      return absl::DataLossError(
          "the state says what this version of Berth does not know; run the version that saved it "
          "or a newer one");
    }
    state_.Load(saved);
    return absl::OkStatus();
  }

  std::string SavedFormat() const override {
    return SavedStateFormat(*State::Snapshot::descriptor(), State::kStateVersion);
  }

  uint32_t StateVersion() const override { return State::kStateVersion; }

  absl::Status CheckRows(const RowsByKey& rows) const override {
    if constexpr (requires { state_.CheckRows(rows); }) return state_.CheckRows(rows);
    return absl::OkStatus();
  }

 protected:
  // What else there is to do once an event was applied.
  virtual void Applied(const Event&) {}

  State state_;

 private:
  static constexpr size_t kArenaBlockBytes = 2048;
};

}  // namespace berth
