#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/eventlog/event_log.h"
#include "common/ids/id_source.h"

namespace berth {

// What a decision may know beside the state and the command.
struct DecisionContext {
  // The caller: user/admin, host/a, …; empty for the service itself.
  std::string principal;
  // When the command is decided.
  absl::Time now;
  // The position its record will have.
  uint64_t position = 0;
  // For names that the decision makes up.
  IdSource* ids = nullptr;
};

// What a command leads to: the events to store, the rows to change with them, and the answer. No
// events means that all is so already, which is a success.
template <typename EventType, typename ResponseType>
struct Decision {
  using Event = EventType;
  using Response = ResponseType;

  std::vector<Event> events;
  Response response;
  std::vector<RowChange> rows = {};
};

// A decision, or the refusal: a status whose message says what, why and what to do.
template <typename Event, typename Response>
using Decided = absl::StatusOr<Decision<Event, Response>>;

}  // namespace berth
