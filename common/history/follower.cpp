#include "common/history/follower.h"

#include <utility>

namespace berth {

WatchFrame Follower::Next() {
  std::shared_ptr<const std::string> taken;
  {
    MutexLock lock(&mutex_);
    taken = std::move(ready_);
    ready_ = nullptr;
  }
  if (taken == nullptr) return {};
  executor_->Post([weak = weak_from_this()] {
    if (const std::shared_ptr<Follower> alive = weak.lock()) alive->Look();
  });
  return {std::move(taken)};
}

void Follower::Look() {
  const std::shared_ptr<rpc::Stream> stream = stream_.lock();
  if (stream == nullptr) return;
  {
    MutexLock lock(&mutex_);
    if (ready_ != nullptr) return;
  }
  absl::StatusOr<eventlog::v1::FollowRecordsResponse> read = read_(after_);
  if (!read.ok()) return stream->End(read.status());
  if (read->position() == after_) return;
  after_ = read->position();
  if (read->records().empty()) {
    // Others have their turn before a long stretch that this one may not see is read on.
    executor_->Post([weak = weak_from_this()] {
      if (const std::shared_ptr<Follower> alive = weak.lock()) alive->Look();
    });
    return;
  }
  {
    MutexLock lock(&mutex_);
    ready_ = std::make_shared<const std::string>(read->SerializeAsString());
  }
  stream->Wake();
}

}  // namespace berth
