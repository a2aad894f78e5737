#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "common/eventlog/event_log.h"
#include "common/eventlog/log_verifier.h"
#include "common/executor/executor.h"
#include "common/rpc/dispatcher.h"
#include "common/sync/mutex.h"

namespace berth {

// A verification of a log that somebody waits for: done in steps, between which others have their
// turn, and told of as it goes on, the newest news only. It ends with who waits.
class Verification : public rpc::Conversation, public std::enable_shared_from_this<Verification> {
 public:
  // Records that a step reads.
  static constexpr size_t kStepRecords = 512;

  // `executor` outlives the verification.
  Verification(LogVerifier verifier, std::unique_ptr<LogReader> reader, Executor* executor,
               std::weak_ptr<rpc::Stream> stream)
      : verifier_(std::move(verifier)),
        reader_(std::move(reader)),
        executor_(executor),
        stream_(std::move(stream)) {}

  WatchFrame Next() override;

  // Goes on to the end of the log, or to what is wrong. On the executor, once.
  void Go();

  // Whether it has told how it ended. On the executor.
  bool over() const { return over_; }

 private:
  void Tell(rpc::Stream* stream, bool complete);

  // On the executor only.
  LogVerifier verifier_;
  const std::unique_ptr<LogReader> reader_;
  Executor* const executor_;
  const std::weak_ptr<rpc::Stream> stream_;
  bool over_ = false;
  Mutex mutex_;
  std::shared_ptr<const std::string> ready_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth
