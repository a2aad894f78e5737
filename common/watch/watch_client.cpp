#include "common/watch/watch_client.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace berth {
namespace {

absl::Status BrokenProtocol(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("the watch broke its protocol: ", what));
}

// Keys present in only one of the two, or with other values.
std::vector<std::string> Difference(const WatchClient::Entries& before,
                                    const WatchClient::Entries& after) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : after) {
    const auto old = before.find(key);
    if (old == before.end() || old->second != value) keys.push_back(key);
  }
  for (const auto& [key, value] : before) {
    if (!after.contains(key)) keys.push_back(key);
  }
  return keys;
}

}  // namespace

absl::StatusOr<WatchClient::Update> WatchClient::Receive(const watch::v1::WatchResponse& message) {
  Update update;
  if (message.has_begin()) {
    arriving_ = Arriving{message.begin().history_changed(), {}};
  }
  if (message.has_chunk()) {
    if (!arriving_.has_value()) return BrokenProtocol("a chunk without a snapshot's beginning");
    for (const watch::v1::Change& entry : message.chunk().entries()) {
      if (!arriving_->entries.emplace(entry.key(), entry.value()).second) {
        return BrokenProtocol(absl::StrCat("a snapshot holds ", entry.key(), " twice"));
      }
    }
  }
  if (message.has_synced()) {
    if (!arriving_.has_value()) return BrokenProtocol("synced without a snapshot");
    update.snapshot = true;
    update.history_changed = arriving_->history_changed;
    update.keys = Difference(entries_, arriving_->entries);
    entries_ = std::move(arriving_->entries);
    arriving_.reset();
    revision_ = message.synced().revision();
    update.revision = revision_;
  }
  if (message.deltas_size() > 0) {
    if (arriving_.has_value()) return BrokenProtocol("a delta inside a snapshot");
    if (!revision_.has_value()) return BrokenProtocol("a delta before any snapshot");
    uint64_t position = revision_->position();
    for (const watch::v1::Delta& delta : message.deltas()) {
      if (delta.from() > position) {
        return BrokenProtocol(
            absl::StrCat("a gap: at ", position, ", the next delta follows ", delta.from()));
      }
      if (delta.to().position() <= position) {
        return BrokenProtocol(
            absl::StrCat("a duplicate: at ", position, ", got a delta to ", delta.to().position()));
      }
      position = delta.to().position();
    }
    for (const watch::v1::Delta& delta : message.deltas()) {
      for (const watch::v1::Change& change : delta.changes()) {
        if (change.has_value()) {
          entries_[change.key()] = change.value();
        } else {
          entries_.erase(change.key());
        }
        update.keys.push_back(change.key());
      }
    }
    revision_ = message.deltas(message.deltas_size() - 1).to();
    update.revision = revision_;
  }
  if (message.has_bookmark()) {
    if (!revision_.has_value() || arriving_.has_value()) {
      return BrokenProtocol("a bookmark before the snapshot was complete");
    }
    if (message.bookmark().revision().position() < revision_->position()) {
      return BrokenProtocol("a bookmark that goes back");
    }
    revision_ = message.bookmark().revision();
    update.revision = revision_;
  }
  return update;
}

}  // namespace berth
