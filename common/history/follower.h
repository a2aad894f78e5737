#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "berth/eventlog/v1/log.pb.h"
#include "common/rpc/dispatcher.h"
#include "common/sync/mutex.h"

namespace berth {

// Somebody who is sent a log's records as they come: one message is ready at a time, and the next
// is read once that is taken. So a slow one takes no memory, and holds up nobody.
class Follower : public rpc::Conversation, public std::enable_shared_from_this<Follower> {
 public:
  // Reads what follows a position: records that are shown, and how far was read. No progress: the
  // end of the log.
  using Read = std::function<absl::StatusOr<eventlog::v1::FollowRecordsResponse>(uint64_t after)>;

  // `read` is called on `executor`, which outlives the follower, as does what `read` holds.
  Follower(uint64_t after, Read read, Executor* executor, std::weak_ptr<rpc::Stream> stream)
      : read_(std::move(read)), executor_(executor), stream_(std::move(stream)), after_(after) {}

  WatchFrame Next() override;

  // There may be more to read. On the executor.
  void Look();

 private:
  const Read read_;
  Executor* const executor_;
  const std::weak_ptr<rpc::Stream> stream_;
  uint64_t after_;  // On the executor only.
  Mutex mutex_;
  std::shared_ptr<const std::string> ready_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth
