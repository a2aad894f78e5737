#pragma once

#include <string>

#include "absl/status/status.h"
#include "berth/eventlog/v1/record.pb.h"

namespace berth {

// A state as whoever replays a log sees it: events in, or what was saved of it.
class Replayable {
 public:
  virtual ~Replayable() = default;

  // Back to the state before any event.
  virtual void Reset() = 0;

  // kDataLoss: the event cannot be decoded.
  virtual absl::Status Apply(const eventlog::v1::StoredEvent& event) = 0;

  // Back to a state that was saved. kDataLoss: these bytes are none, and the state is as after
  // Reset.
  virtual absl::Status LoadSaved(const std::string& bytes) = 0;

  // Another value wherever saved states are to be read in another way.
  virtual std::string SavedFormat() const = 0;
};

}  // namespace berth
