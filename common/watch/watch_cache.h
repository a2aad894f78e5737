#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/watch/watch_client.h"

namespace berth {

// What a machine heard last over a watch, on disk: with the control plane away, also across a
// restart or a reboot, it goes on from here. Holds nothing secret.
class WatchCache {
 public:
  explicit WatchCache(std::string path) : path_(std::move(path)) {}

  // What was stored last; an empty client where nothing was. kDataLoss: the file cannot be read.
  absl::StatusOr<WatchClient> Load() const;

  // Replaces what is stored; durable when it returns.
  absl::Status Store(const WatchClient& client) const;

 private:
  const std::string path_;
};

}  // namespace berth
