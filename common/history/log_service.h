#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "berth/eventlog/v1/log.pb.h"
#include "common/clock/clock.h"
#include "common/eventlog/event_log.h"
#include "common/eventlog/log_writer.h"
#include "common/executor/executor.h"
#include "common/history/follower.h"
#include "common/history/log_source.h"
#include "common/history/verification.h"
#include "common/rpc/access_view.h"
#include "common/rpc/dispatcher.h"

namespace berth {

// Serves the past of a process's services (berth/eventlog/v1/log.proto): one dispatcher, which
// knows each by the stream that a request names.
//
// Logs are read through readers of their own, on an executor of its own, a bounded piece at a time:
// the writers are never waited for and never wait. Only what a writer knows to be durable is shown.
class LogService {
 public:
  // What people may have under way at once in a process, and how much one step of it reads.
  static constexpr size_t kReadsMax = 16;
  static constexpr size_t kFollowersMax = 200;
  static constexpr size_t kChunkRecords = 128;
  // A verification needs as much memory as the state that it makes, so there is one at a time.
  static constexpr size_t kVerificationsMax = 1;
  // An answer ends with the record that brings it to so many, or so many bytes, and a call after it
  // has looked at so many records: whoever asked asks again.
  static constexpr uint32_t kAnswerRecordsMax = 1'000;
  static constexpr uint32_t kAnswerRecordsDefault = 100;
  static constexpr size_t kAnswerBytesMax = size_t{256} << 10;
  static constexpr size_t kLookedAtMax = 4'096;

  // What is passed in outlives the service, and the executor is stopped before it is destroyed.
  // Refusals by the gate are recorded in the first source's log.
  LogService(std::vector<LogSource> sources, rpc::AccessView* access, Executor* executor,
             const Clock* clock);

  rpc::Dispatcher& dispatcher() { return dispatcher_; }

 private:
  // A service's log, as it is read. On the executor only.
  struct Stream {
    LogSource source;
    std::unique_ptr<LogReader> reader;  // Once it was needed.
    std::vector<std::weak_ptr<Follower>> followers;
  };
  struct Listing;

  void AddHandlers();
  absl::StatusOr<Stream*> Find(const std::string& name);
  // What the stream has at positions `after` + 1 and following, durable and in a bounded number.
  absl::StatusOr<std::vector<eventlog::v1::Record>> Read(Stream* stream, uint64_t after,
                                                         size_t count_max);
  void List(const std::shared_ptr<Listing>& listing);
  // Looks at the chunk before `listing`'s begin. True: that was enough.
  absl::StatusOr<bool> LookBack(Listing* listing);
  void Follow(const eventlog::v1::FollowRecordsRequest& request,
              const std::shared_ptr<rpc::Stream>& stream);
  void Verify(const std::string& name, const std::shared_ptr<rpc::Stream>& stream);
  absl::Status BeginVerification(Stream* of, SavedState served,
                                 const std::shared_ptr<rpc::Stream>& stream);
  absl::StatusOr<eventlog::v1::FollowRecordsResponse> ReadOn(
      Stream* stream, const eventlog::v1::FollowRecordsRequest& request, uint64_t after);

  Executor* const executor_;
  rpc::Dispatcher dispatcher_;
  std::map<std::string, Stream> streams_;
  // On the executor only.
  size_t reads_ = 0;                          // Under way.
  std::weak_ptr<Verification> verification_;  // The newest; there is one at a time.
};

}  // namespace berth
