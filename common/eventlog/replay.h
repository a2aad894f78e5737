#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "berth/eventlog/v1/snapshot.pb.h"
#include "berth/types/v1/types.pb.h"
#include "common/eventlog/event_log.h"
#include "common/eventlog/logged_state.h"

namespace berth {

// Brings a state to how it was at a moment of its log's past, through a reader beside the log's
// writer, one bounded piece after another.
//
// It begins at the newest snapshot where that is not later than the moment, and otherwise where the
// log begins. Every record on its way is checked as at a start.
class Replay {
 public:
  static constexpr size_t kStepRecords = 500;

  // Nothing after `durable` is read: the writer may yet take it back. `state` outlives the replay.
  Replay(std::string stream, types::v1::Moment moment, uint64_t durable, LoggedState* state);

  // Does the next piece. True: the state is as it was right after the record at().
  // kOutOfRange: the log begins later, or has not come to the position. kInvalidArgument: the
  // moment is none. kDataLoss: the log cannot be right. Others as the log's.
  absl::StatusOr<bool> Step(LogReader* log);

  // The newest record at the moment; without its actor, who may belong to another org.
  const types::v1::RecordReference& at() const { return at_; }
  // Its hash, once the state is there.
  const std::string& hash() const { return hash_; }

 private:
  absl::Status Begin(LogReader* log);
  absl::Status FindMoment(LogReader* log);
  // The last position whose record is not later. Times never go back but where a clock was set
  // back; there it is one of several such places.
  absl::StatusOr<uint64_t> LastUntil(absl::Time time, LogReader* log) const;
  absl::StatusOr<absl::Time> TimeAt(uint64_t position, LogReader* log) const;
  // False: there is none that could be used.
  absl::StatusOr<bool> BeginAtSnapshot(LogReader* log);
  absl::Status ApplyNext(LogReader* log);

  const std::string stream_;
  const types::v1::Moment moment_;
  const uint64_t durable_;
  LoggedState* const state_;
  eventlog::v1::LogBegin begin_;  // Once the moment was looked for.
  types::v1::RecordReference at_;
  uint64_t position_ = 0;  // Of the newest record that is in the state.
  std::string hash_;       // Of that record.
};

}  // namespace berth
