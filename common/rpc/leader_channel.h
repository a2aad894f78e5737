#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/ids/id_source.h"
#include "common/rpc/channel.h"
#include "common/sync/mutex.h"

namespace berth::rpc {

// A channel to a service of which there may be several copies: calls go to the one that leads.
//
// A copy that stands by says who leads (NOT_LEADER), and the call is made again there, with the
// same request id, so that it is carried out once. Where the leader cannot be reached, or nobody
// leads yet, the addresses are tried in turn, with delays of full jitter, until the call's own
// deadline. A single address that nobody led away from is asked once, and what it says is the
// answer.
//
// A stream is not begun anew here: its owner does that, and is led to where the last call or stream
// found that the leader is. Once a call was answered by another copy than the one that a stream is
// from, the stream ends (kUnavailable): a process that is stopped or cut off ends none of its own.
// Safe from any thread.
class LeaderChannel : public Channel, public std::enable_shared_from_this<LeaderChannel> {
 public:
  static constexpr int kAttemptsMax = 60;  // Of one call.
  // Of one attempt, where there is somebody else to ask: a process that is stopped says nothing.
  static constexpr absl::Duration kAttemptMax = absl::Seconds(3);
  static constexpr absl::Duration kRetryDelayMin = absl::Milliseconds(100);
  static constexpr absl::Duration kRetryDelayMax = absl::Seconds(1);
  // Whoever drops a stream that has brought nothing for so long has given its process up.
  static constexpr absl::Duration kSilenceMax = absl::Seconds(20);

  // What it stands on, which outlives it.
  struct Dependencies {
    const Clock* clock;
    IdSource* ids;
    // Opens a channel to one address.
    std::function<std::shared_ptr<Channel>(const std::string& address)> open;
    // Runs a step later, on any thread.
    std::function<void(absl::Duration delay, std::function<void()> step)> run_after;
  };

  // `addresses` are those of the copies, at least one.
  LeaderChannel(std::vector<std::string> addresses, Dependencies with);

  absl::StatusOr<std::string> CallBytes(const Method& method, const std::string& request,
                                        const CallOptions& options) override;
  void CallBytesAsync(const Method& method, const std::string& request, const CallOptions& options,
                      std::function<void(absl::StatusOr<std::string>)> done) override;
  std::unique_ptr<ClientStream> OpenBytes(const Method& method, const std::string& request,
                                          std::function<absl::Status(const std::string&)> received,
                                          std::function<void(absl::Status)> ended) override;

 private:
  struct UnaryCall {
    const Method* method;
    std::string request;
    CallOptions options;
    std::function<void(absl::StatusOr<std::string>)> done;
    absl::Duration ends = absl::ZeroDuration();  // By the clock's Monotonic.
    int attempts = 0;
    int unreached = 0;  // Attempts in a row that reached nobody.
  };
  struct Place {
    std::string address;
    std::shared_ptr<Channel> channel;
    bool only_one = false;  // There is nobody else to ask.
  };
  // What an answer says about where the leader is.
  enum class Learnt {
    kNothing,    // It is the answer.
    kElsewhere,  // The leader is known to be elsewhere.
    kNobody,     // No leader is known to whoever answered.
    kUnreached,  // Nobody answered.
  };
  class Stream;
  struct Seen;

  Place Current() ABSL_LOCKS_EXCLUDED(mutex_);
  Learnt Learn(const Place& asked, const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);
  void MoveOnLocked(const Place& from, const std::string& to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string NextLocked(const std::string& address) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Attempt(const std::shared_ptr<UnaryCall>& call);
  void Answered(const std::shared_ptr<UnaryCall>& call, const Place& asked,
                absl::StatusOr<std::string> answer);
  absl::Duration DelayBefore(const UnaryCall& call, Learnt learnt) const;
  void FellSilent(const Place& asked);
  void EndStreamsElsewhere(const Place& leader) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::vector<std::string> addresses_;
  const Dependencies with_;
  Mutex mutex_;
  std::string current_ ABSL_GUARDED_BY(mutex_);  // Where the leader is thought to be.
  std::map<std::string, std::shared_ptr<Channel>> channels_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::weak_ptr<Seen>> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::rpc
