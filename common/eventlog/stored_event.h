#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "berth/eventlog/v1/record.pb.h"

namespace berth {

// Of every event so far (StoredEvent.version).
inline constexpr uint32_t kEventVersion = 1;

// The service's event in a record. kDataLoss: this version of Berth does not know it.
template <typename Event>
absl::StatusOr<Event> EventOf(const eventlog::v1::StoredEvent& stored) {
  Event event;
  // A later meaning of a known event must not be taken for the one that is known here.
  if (stored.version() > kEventVersion || !event.ParseFromString(stored.payload()) ||
      event.event_case() == Event::EVENT_NOT_SET) {
    return absl::DataLossError(absl::StrCat(
        "event type ", stored.type(), " version ", stored.version(),
        " is not known to this version of Berth; run the version that wrote it or a newer one"));
  }
  return event;
}

}  // namespace berth
