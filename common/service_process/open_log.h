#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/eventlog/event_log.h"
#include "common/settings/settings.h"

namespace berth {

// Where a process keeps its logs: in a SQLite file each, or all in one PostgreSQL database.
struct LogSettings {
  // As libpq understands it, passwords and TLS included; empty: SQLite.
  std::string postgres;
  // How long records are kept; 0: for ever.
  int retention_days = 0;
};

// Takes the section `log` out of the reader: `postgres`, or `postgres_file`, which holds the same,
// and `retention_days`. A file that cannot be read is a mistake of the settings.
void ReadLogSettings(SettingsReader* reader, LogSettings* settings);

// By stream. SQLite: FOLDER/STREAM.db. PostgreSQL is connected to when the logs are first used, and
// its lease is one for all of the streams.
using EventLogs = std::map<std::string, std::unique_ptr<EventLog>>;
absl::StatusOr<EventLogs> OpenLogs(const LogSettings& settings, const std::string& folder,
                                   const std::vector<std::string>& streams);

// Opens a reader beside the writer of the stream, of this process or of another.
absl::StatusOr<std::unique_ptr<LogReader>> OpenLogReader(const LogSettings& settings,
                                                         const std::string& folder,
                                                         const std::string& stream);

}  // namespace berth
