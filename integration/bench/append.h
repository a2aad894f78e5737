#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/eventlog/event_log.h"
#include "integration/bench/report.h"

namespace berth::bench {

// How fast events become durable, in this process. Every function throws where something fails.

// fdatasync(2) after each write of 512 bytes, for as long: to the end of a growing file, or over
// and over to the beginning of one that is there. What no log on this disk is faster than.
Samples SyncedAppends(const std::string& path, absl::Duration time);
Samples SyncedOverwrites(const std::string& path, absl::Duration time);

// A row of a SQLite table in a transaction of its own, write-ahead log, synchronous=FULL.
Samples SqliteInserts(const std::string& path, absl::Duration time);

struct Throughput {
  double commands_per_second = 0;
  double events_per_second = 0;
  Samples latency;  // Of a sample of the commands.
};

// Commands by so many writers, each of which gives its next one when it has the answer to the last,
// with so many events each, for as long.
Throughput Execute(EventLog* log, int writers, int events, absl::Duration time);

// Stores so many records of one event each, without a snapshot.
void Fill(EventLog* log, uint64_t records);

// The time until a service serves with this log: by a replay of all of it, and with what is stored
// of its state. The first start with `snapshots` leaves one.
absl::Duration Start(EventLog* log, bool snapshots);

}  // namespace berth::bench
