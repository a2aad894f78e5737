#pragma once

// Cuts of the log that model_counter.h writes, also while somebody reads it.

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/eventlog/model_counter.h"
#include "common/eventlog/replay.h"
#include "common/testing/printers.h"
#include "common/time/timestamp.h"

namespace berth {

inline std::unique_ptr<MemoryEventLog> Reader(const World& world) {
  return std::make_unique<MemoryEventLog>(world.database, "counter");
}

inline types::v1::Moment At(uint64_t position) {
  types::v1::Moment moment;
  moment.set_position(position);
  return moment;
}

// Cuts the log off through `position`, as far as the record that says so.
inline absl::Status Cut(const World& world, Process* process, uint64_t position) {
  const auto log = Reader(world);
  LoggedStateOf<Counter> state;
  Replay replay("counter", At(position), log->ReadRows()->position, &state);
  absl::StatusOr<bool> there = false;
  while (there.ok() && !*there) there = replay.Step(log.get());
  REQUIRE(there.status() == absl::OkStatus());
  absl::Status cut = absl::InternalError("no answer");
  process->counter.writer().EnqueueCut({position, replay.hash(), state.SavedFormat(), state.Save()},
                                       FromTimestamp(replay.at().time()),
                                       [&cut](absl::Status status) { cut = std::move(status); });
  process->executor.RunUntilIdle();
  return cut;
}

// A log that is cut between two reads.
struct CutMeanwhile : public LogReader {
  explicit CutMeanwhile(std::unique_ptr<LogReader> to_read) : log(std::move(to_read)) {}

  absl::StatusOr<std::vector<StoredRecord>> Read(uint64_t after, size_t count_max) override {
    if (--reads_before == 0) cut();
    return log->Read(after, count_max);
  }
  absl::StatusOr<Rows> ReadRows() override { return log->ReadRows(); }
  absl::StatusOr<std::optional<std::string>> GetRow(absl::string_view key) override {
    return log->GetRow(key);
  }

  std::unique_ptr<LogReader> log;
  int reads_before = 0;
  std::function<void()> cut;
};

}  // namespace berth
