#include "common/watch/watch_cache.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files/atomic_file.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

constexpr size_t kFileSizeMax = size_t{64} << 20;
constexpr mode_t kPrivate = 0600;

}  // namespace

// The file is a snapshot as a watch would send it, in one message.
absl::StatusOr<WatchClient> WatchCache::Load() const {
  WatchClient client;
  const absl::StatusOr<std::string> bytes = ReadFile(path_, kFileSizeMax);
  if (absl::IsNotFound(bytes.status())) return client;
  if (!bytes.ok()) return bytes.status();
  watch::v1::WatchResponse snapshot;
  if (!snapshot.ParseFromString(*bytes) || !client.Receive(snapshot).ok()) {
    return absl::DataLossError(absl::StrCat(
        path_, " cannot be read; remove it and start again while the control plane is reachable"));
  }
  return client;
}

absl::Status WatchCache::Store(const WatchClient& client) const {
  if (!client.revision().has_value()) return absl::OkStatus();
  watch::v1::WatchResponse snapshot;
  snapshot.mutable_begin();
  for (const auto& [key, value] : client.entries()) {
    watch::v1::Change* entry = snapshot.mutable_chunk()->add_entries();
    entry->set_key(key);
    entry->set_value(value);
  }
  *snapshot.mutable_synced()->mutable_revision() = *client.revision();
  return WriteFileAtomically(path_, snapshot.SerializeAsString(), kPrivate);
}

}  // namespace berth
