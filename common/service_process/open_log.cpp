#include "common/service_process/open_log.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/eventlog/postgres_database.h"
#include "common/eventlog/postgres_event_log.h"
#include "common/eventlog/sqlite_event_log.h"
#include "common/eventlog/sqlite_log_reader.h"
#include "common/files/atomic_file.h"
#include "common/history/retention.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

constexpr size_t kConnectionSizeMax = 4 << 10;
constexpr int kRetentionDaysMax = 36'500;

}  // namespace

void ReadLogSettings(SettingsReader* reader, LogSettings* settings) {
  SettingsReader& log = reader->Section("log");
  std::string file;
  log.Optional("postgres", &settings->postgres);
  log.Optional("postgres_file", &file);
  log.Optional("retention_days", &settings->retention_days, Retention::kDaysMin, kRetentionDaysMax);
  if (file.empty()) return;
  if (!settings->postgres.empty()) {
    log.Refuse("postgres_file", "is given beside postgres; one of them is enough");
    return;
  }
  const absl::StatusOr<std::string> text = ReadFile(file, kConnectionSizeMax);
  if (!text.ok()) {
    log.Refuse("postgres_file", std::string(text.status().message()));
    return;
  }
  settings->postgres = std::string(absl::StripAsciiWhitespace(*text));
  if (settings->postgres.empty()) log.Refuse("postgres_file", absl::StrCat(file, " is empty"));
}

absl::StatusOr<EventLogs> OpenLogs(const LogSettings& settings, const std::string& folder,
                                   const std::vector<std::string>& streams) {
  EventLogs logs;
  if (settings.postgres.empty()) {
    for (const std::string& stream : streams) {
      BERTH_ASSIGN_OR_RETURN(
          logs[stream], SqliteEventLog::Open(absl::StrCat(folder, "/", stream, ".db"), stream));
    }
    return logs;
  }
  BERTH_ASSIGN_OR_RETURN(const std::shared_ptr<PostgresDatabase> database,
                         PostgresDatabase::Create(settings.postgres, streams));
  for (const std::string& stream : streams) {
    logs[stream] = std::make_unique<PostgresEventLog>(database, stream);
  }
  return logs;
}

absl::StatusOr<std::unique_ptr<LogReader>> OpenLogReader(const LogSettings& settings,
                                                         const std::string& folder,
                                                         const std::string& stream) {
  if (settings.postgres.empty()) {
    return SqliteLogReader::Open(absl::StrCat(folder, "/", stream, ".db"), stream);
  }
  BERTH_ASSIGN_OR_RETURN(std::shared_ptr<PostgresDatabase> database,
                         PostgresDatabase::Create(settings.postgres, {stream}));
  return std::make_unique<PostgresEventLog>(std::move(database), stream);
}

}  // namespace berth
