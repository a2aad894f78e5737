#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "berth/watch/v1/watch.pb.h"

namespace berth {

// The receiving end of a watch: checks the protocol's guarantees and keeps the topic's entries.
// Knows nothing of connections: who has one feeds its messages in, and asks resume() for the
// revision to begin the next one with. Not thread-safe.
class WatchClient {
 public:
  using Entries = std::map<std::string, std::string>;

  // What a message did to the entries.
  struct Update {
    // Keys that changed or are gone, in order; after a snapshot those that differ from before.
    std::vector<std::string> keys;
    // The entries were replaced by a snapshot.
    bool snapshot = false;
    // The snapshot is of another history than the one resumed from.
    bool history_changed = false;
    // The entries are now as of this revision. Absent while a snapshot is still arriving.
    std::optional<watch::v1::Revision> revision;
  };

  // Starts with what an earlier process kept; or empty.
  WatchClient() = default;
  WatchClient(Entries entries, watch::v1::Revision revision)
      : entries_(std::move(entries)), revision_(std::move(revision)) {}

  // Takes the next message of the stream. kDataLoss: the server broke the protocol (a gap, a
  // duplicate, a snapshot out of place); the entries are as before, and the caller ends the stream.
  absl::StatusOr<Update> Receive(const watch::v1::WatchResponse& message);

  // Drops a snapshot that did not arrive whole; call it when a stream ended.
  void StreamEnded() { arriving_.reset(); }

  // What to send in the next request's `resume`; absent when nothing was received yet.
  const std::optional<watch::v1::Revision>& revision() const { return revision_; }

  const Entries& entries() const { return entries_; }

 private:
  struct Arriving {
    bool history_changed = false;
    Entries entries;
  };

  Entries entries_;
  std::optional<watch::v1::Revision> revision_;
  std::optional<Arriving> arriving_;
};

}  // namespace berth
