#include "common/history/verification.h"

#include <algorithm>
#include <utility>

#include "berth/eventlog/v1/log.pb.h"

namespace berth {

WatchFrame Verification::Next() {
  MutexLock lock(&mutex_);
  if (ready_ == nullptr) return {};
  return {std::exchange(ready_, nullptr)};
}

void Verification::Go() {
  const std::shared_ptr<rpc::Stream> stream = stream_.lock();
  if (stream == nullptr) return;
  const absl::StatusOr<bool> more = verifier_.Step(reader_.get(), kStepRecords);
  if (more.ok()) Tell(stream.get(), !*more);
  over_ = !more.ok() || !*more;
  if (over_) return stream->End(more.status());
  executor_->Post([weak = weak_from_this()] {
    if (const std::shared_ptr<Verification> alive = weak.lock()) alive->Go();
  });
}

void Verification::Tell(rpc::Stream* stream, bool complete) {
  eventlog::v1::VerifyLogResponse news;
  news.set_position(verifier_.position());
  news.set_end(std::max(verifier_.position(), verifier_.expected_end()));
  news.set_complete(complete);
  if (complete) news.set_hash(verifier_.hash());
  news.set_snapshot_position(verifier_.snapshot_position());
  news.set_cut_position(verifier_.cut_position());
  {
    MutexLock lock(&mutex_);
    ready_ = std::make_shared<const std::string>(news.SerializeAsString());
  }
  stream->Wake();
}

}  // namespace berth
