#include "common/rpc/importer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/check/check.h"
#include "common/log/log.h"
#include "common/status/error_details.h"

namespace berth::rpc {

Importer::Importer(std::string service, Executor* executor, IdSource* ids, Execute execute)
    : service_(std::move(service)), executor_(executor), ids_(ids), execute_(std::move(execute)) {}

void Importer::Follow(std::vector<Source> sources) {
  if (!sources_.empty()) return;
  // All of them are known before the first brings anything: what has synced is counted by them.
  for (const Source& source : sources) sources_[source.name].beginning = ++beginnings_;
  for (Source& source : sources) {
    Followed& followed = sources_.at(source.name);
    // From a snapshot each time: it is compared with what was imported, and only what differs
    // becomes an event.
    followed.subscription = std::make_unique<Subscription>(
        source.name, std::move(source.open), WatchClient(), executor_, ids_,
        [this, name = source.name](const WatchClient::Update& update) { Updated(name, update); });
    followed.subscription->SetRetryDelayMax(Subscription::kServiceRetryDelayMax);
    followed.subscription->Start();
  }
}

absl::Status Importer::Synced() const {
  std::vector<std::string> missing;
  for (const auto& [name, followed] : sources_) {
    if (!followed.synced) missing.push_back(name);
  }
  if (missing.empty() && !sources_.empty()) return absl::OkStatus();
  const std::string whom =
      sources_.empty() ? std::string("the other services") : absl::StrJoin(missing, " and ");
  return WithRetryDelay(
      WithReason(absl::UnavailableError(absl::StrCat("the ", service_, " has not heard from ", whom,
                                                     " yet; try again")),
                 reason::kNotReady),
      kRetryDelay);
}

void Importer::Updated(const std::string& source, const WatchClient::Update& update) {
  // A snapshot that is still arriving, or a bookmark.
  if (!update.revision.has_value() || (update.keys.empty() && !update.snapshot)) return;
  const Followed& followed = sources_.at(source);
  const WatchClient::Entries& entries = followed.subscription->client().entries();
  Import import;
  import.source = source;
  import.revision = *update.revision;
  import.snapshot = update.snapshot;
  // Of a snapshot every entry, also those that are as before: what is missing counts as gone.
  if (update.snapshot) import.changes = {entries.begin(), entries.end()};
  for (const std::string& key : update.keys) {
    const auto entry = entries.find(key);
    import.changes[key] =
        entry == entries.end() ? std::nullopt : std::optional<std::string>(entry->second);
  }
  execute_(import, [this, source, beginning = followed.beginning](const absl::Status& status) {
    Imported(source, beginning, status);
  });
}

void Importer::Imported(const std::string& source, uint64_t beginning, const absl::Status& status) {
  const auto found = sources_.find(source);
  if (found == sources_.end() || beginning != found->second.beginning) return;
  Followed& followed = found->second;
  if (status.ok()) {
    followed.synced = true;
    return;
  }
  LogWarning("an import failed", {{"source", source}, {"why", status.message()}});
  // The watch is begun anew: its snapshot brings what was not imported.
  followed.beginning = ++beginnings_;
  followed.subscription->Restart();
}

}  // namespace berth::rpc
