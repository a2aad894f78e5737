#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/runtime/driver.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "common/clock/clock.h"
#include "common/executor/executor.h"

namespace berth::agent {

// Commands that people run inside this host's instances, over the agent's stream to the scheduler.
// Each needs a grant under the key that auth knows the scheduler by: whoever else comes to send
// over the stream runs nothing. Lives on the agent's loop, and is destroyed there: each command
// then ends.
class ExecSessions {
 public:
  // Commands that run at the same time; further ones are refused.
  static constexpr size_t kSessionsMax = 32;
  // Output that may be under way before anybody took any.
  static constexpr size_t kOutputWindowBytes = size_t{256} << 10;
  static constexpr size_t kPieceBytesMax = size_t{16} << 10;
  // Grants that were used and are not over yet; as many commands can be begun in their lifetime.
  static constexpr size_t kUsedGrantsMax = 10'000;

  // How messages reach the scheduler; safe from any thread, and callable for as long as a session
  // that was opened with it runs.
  using Send = std::function<void(const scheduler::v1::RelayUp&)>;
  // Answers with the scheduler's identity key, on any thread.
  using AskSchedulerKey = std::function<void(std::function<void(absl::StatusOr<std::string>)>)>;

  struct Dependencies {
    std::string host;
    Driver* driver;
    Executor* loop;
    const Clock* clock;
    std::function<std::optional<InstanceHandle>(const std::string&)> handle_of;
    // Asked for each command, so that a key that does not count any more counts for none.
    AskSchedulerKey ask_scheduler_key;
  };

  explicit ExecSessions(Dependencies dependencies);
  ~ExecSessions();

  // Runs what was granted to this host for an instance of it, once, before the grant's time is
  // over. A grant that is older than this object may have been used already, and counts no more.
  void Open(uint64_t session, const scheduler::v1::OpenExec& request, Send send);
  // Of a session that is open; others are ignored, as their end is on its way.
  void Input(uint64_t session, const scheduler::v1::ExecInput& input);
  void Credit(uint64_t session, const scheduler::v1::ExecCredit& credit);
  void Close(uint64_t session);
  void CloseAll();

 private:
  class Session;

  // The grant, where it counts now.
  absl::StatusOr<scheduler::v1::ExecGrant> Check(const scheduler::v1::SignedExecGrant& signed_grant,
                                                 const std::string& scheduler_key) const;
  absl::Status Begin(const std::shared_ptr<Session>& session,
                     const scheduler::v1::OpenExec& request,
                     const absl::StatusOr<std::string>& scheduler_key);

  const Dependencies with_;
  const absl::Time created_;
  std::map<std::string, absl::Time> used_grants_;          // When each is over, by id.
  std::map<uint64_t, std::shared_ptr<Session>> sessions_;  // Owned here alone.
};

}  // namespace berth::agent
