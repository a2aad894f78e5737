#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/executor/executor.h"
#include "common/ids/id_source.h"
#include "common/rpc/subscription.h"
#include "common/watch/import.h"

namespace berth::rpc {

// Follows the watches of other services and has what they bring imported, as commands of the
// service that learns from them. An import that failed is made good by a snapshot.
//
// Lives on its executor: called there, and destroyed there or after the executor has stopped.
class Importer {
 public:
  // What a caller who comes before everything has been imported is told to wait.
  static constexpr absl::Duration kRetryDelay = absl::Milliseconds(200);

  // Another service's watch.
  struct Source {
    std::string name;
    Subscription::Opener open;
  };
  // Executes an import as a command; `done` is called on the executor.
  using Execute = std::function<void(const Import&, std::function<void(absl::Status)> done)>;

  // `service` is the one that learns.
  Importer(std::string service, Executor* executor, IdSource* ids, Execute execute);

  // Begins to follow each of them, from a snapshot, unless it does already.
  void Follow(std::vector<Source> sources);

  // Follows nobody any more, until Follow: this process leads no more.
  void Stop() { sources_.clear(); }

  // OK once a snapshot of every source was imported, and until Stop. Before: kUnavailable with
  // the reason NOT_READY, naming what is missing.
  absl::Status Synced() const;

 private:
  struct Followed {
    std::unique_ptr<Subscription> subscription;
    bool synced = false;
    uint64_t beginning = 0;  // Which one; imports of before the last one count for nothing.
  };

  void Updated(const std::string& source, const WatchClient::Update& update);
  void Imported(const std::string& source, uint64_t beginning, const absl::Status& status);

  const std::string service_;
  Executor* const executor_;
  IdSource* const ids_;
  const Execute execute_;
  std::map<std::string, Followed> sources_;
  uint64_t beginnings_ = 0;  // Of all sources, so far.
};

}  // namespace berth::rpc
