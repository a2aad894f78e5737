// berth-archive: what is done with a server's logs and files on their own machine, whether the
// server runs or not. `berth server` calls it, and turns what it prints into words.
//
//   berth-archive verify|backup FILE|restore FILE --settings SERVER_SETTINGS
//
// It is a program of its own because only services/server knows the states of all services, and the
// server should not carry what it never uses. It prints one line of JSON.

#include <sys/stat.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/backup/backup.h"
#include "common/backup/restore.h"
#include "common/check/check.h"
#include "common/clock/system_clock.h"
#include "common/crypto/hash.h"
#include "common/crypto/secret_bytes.h"
#include "common/eventlog/log_verifier.h"
#include "common/status/error_details.h"
#include "common/status/status_macros.h"
#include "common/time/timestamp.h"
#include "services/auth/state.h"
#include "services/config/state.h"
#include "services/edge_router/state.h"
#include "services/scheduler/state.h"
#include "services/secrets/state.h"
#include "services/server/server_settings.h"

namespace berth {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kVerifiedAtOnce = 1'000;  // Records.
constexpr mode_t kOwnerOnlyMask = 077;

template <typename State>
std::unique_ptr<LoggedState> New() {
  return std::make_unique<LoggedStateOf<State>>();
}

// Whoever imports from another one comes first.
struct Stream {
  const char* name;
  std::unique_ptr<LoggedState> (*new_state)();
};
constexpr Stream kStreams[] = {{"edge-router", New<edge_router::State>},
                               {"scheduler", New<scheduler::State>},
                               {"secrets", New<secrets::State>},
                               {"config", New<config::State>},
                               {"auth", New<auth::State>}};

std::vector<std::string> StreamNames() {
  std::vector<std::string> names;
  for (const Stream& stream : kStreams) names.push_back(stream.name);
  return names;
}

std::unique_ptr<LoggedState> NewStateOf(const std::string& name) {
  for (const Stream& stream : kStreams) {
    if (name == stream.name) return stream.new_state();
  }
  BERTH_CHECK_MESSAGE(false, name);
  return nullptr;
}

// Verifies one log. What is wrong with it is part of the result.
absl::StatusOr<Json> VerifyLog(const ServerSettings& settings, const Stream& stream) {
  LogVerifier verifier(stream.name, stream.new_state());
  const auto verify = [&]() -> absl::Status {
    absl::StatusOr<std::unique_ptr<LogReader>> opened =
        OpenLogReader(settings.serving.log, settings.state, stream.name);
    if (!opened.ok()) {
      return Annotate(opened.status(),
                      absl::StrCat("stream ", stream.name, " cannot be opened, restore a backup"));
    }
    const std::unique_ptr<LogReader> reader = *std::move(opened);
    BERTH_RETURN_IF_ERROR(verifier.ExpectRowsOf(reader.get()));
    bool more = true;
    while (more) {
      BERTH_ASSIGN_OR_RETURN(more, verifier.Step(reader.get(), kVerifiedAtOnce));
    }
    return absl::OkStatus();
  };
  absl::Status found = verify();
  if (!found.ok() && !absl::IsDataLoss(found)) return Annotate(found, stream.name);
  return Json{{"service", stream.name},
              {"found", std::string(found.message())},
              {"cutPosition", verifier.cut_position()},
              {"position", verifier.position()},
              {"hash", found.ok() ? HexEncode(verifier.hash()) : ""},
              {"snapshotPosition", verifier.snapshot_position()}};
}

absl::StatusOr<Json> Verify(const ServerSettings& settings) {
  Json logs = Json::array();
  for (const Stream& stream : kStreams) {
    BERTH_ASSIGN_OR_RETURN(Json log, VerifyLog(settings, stream));
    logs.push_back(std::move(log));
  }
  return Json{{"logs", std::move(logs)}};
}

Json Describe(const eventlog::v1::BackupManifest& manifest, const std::string& folder) {
  Json logs = Json::array();
  for (const eventlog::v1::BackupLog& log : manifest.logs()) {
    logs.push_back({{"service", log.stream()},
                    {"position", absl::StrCat(log.position())},
                    {"hash", log.hash()}});
  }
  return Json{{"folder", folder},
              {"berthVersion", manifest.berth_version()},
              {"time", absl::FormatTime(absl::RFC3339_sec, FromTimestamp(manifest.time()),
                                        absl::UTCTimeZone())},
              {"logs", std::move(logs)}};
}

absl::StatusOr<Json> BackUp(const ServerSettings& settings, const std::string& file) {
  BackupSource source;
  source.folder = settings.state;
  source.streams = StreamNames();
  source.open_log = [&settings](const std::string& stream) {
    return OpenLogReader(settings.serving.log, settings.state, stream);
  };
  BERTH_ASSIGN_OR_RETURN(const auto manifest, MakeBackup(source, file, SystemClock().Now()));
  return Describe(manifest, settings.state);
}

absl::StatusOr<Json> Restore(const ServerSettings& settings, const std::string& file) {
  RestoreTarget target;
  target.folder = settings.state;
  target.streams = StreamNames();
  target.new_state = NewStateOf;
  EventLogs logs;
  if (!settings.serving.log.postgres.empty()) {
    BERTH_ASSIGN_OR_RETURN(logs, OpenLogs(settings.serving.log, settings.state, target.streams));
    target.open_log = [&logs](const std::string& stream) { return std::move(logs.at(stream)); };
  }
  BERTH_ASSIGN_OR_RETURN(const auto manifest, RestoreBackup(file, target, SystemClock().Now()));
  return Describe(manifest, settings.state);
}

absl::StatusOr<Json> Run(const std::vector<std::string>& words) {
  BERTH_RETURN_IF_ERROR(LockDownMemory());
  const std::string verb = words.empty() ? "" : words.front();
  const size_t files = verb == "backup" || verb == "restore" ? 1 : 0;
  if (words.size() != 3 + files || words[1 + files] != "--settings" ||
      (files == 0 && verb != "verify")) {
    return absl::InvalidArgumentError(
        "usage: berth-archive verify|backup FILE|restore FILE --settings FILE");
  }
  BERTH_ASSIGN_OR_RETURN(const ServerSettings settings, LoadServerSettings(words[2 + files]));
  if (verb == "verify") return Verify(settings);
  return verb == "backup" ? BackUp(settings, words[1]) : Restore(settings, words[1]);
}

int Main(int argc, char** argv) {
  umask(kOwnerOnlyMask);  // Folders that a restore makes.
  const absl::StatusOr<Json> result = Run({argv + 1, argv + argc});
  const Json document = result.ok() ? *result
                                    : Json{{"code", static_cast<int>(result.status().code())},
                                           {"message", std::string(result.status().message())}};
  std::puts(document.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  return result.ok() ? 0 : 1;
}

}  // namespace
}  // namespace berth

int main(int argc, char** argv) { return berth::Main(argc, argv); }
