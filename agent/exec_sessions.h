#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/runtime/driver.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "common/clock/clock.h"
#include "common/executor/executor.h"

namespace berth::agent {

// Commands that people run inside this host's instances, over the agent's stream to the scheduler.
// Lives on the agent's loop, and is destroyed there: each command then ends.
class ExecSessions {
 public:
  // Commands that run at the same time; further ones are refused.
  static constexpr size_t kSessionsMax = 32;
  // Output that may be under way before anybody took any.
  static constexpr size_t kOutputWindowBytes = size_t{256} << 10;
  static constexpr size_t kPieceBytesMax = size_t{16} << 10;

  // How messages reach the scheduler; safe from any thread, and callable for as long as a session
  // that was opened with it runs.
  using Send = std::function<void(const scheduler::v1::RelayUp&)>;

  ExecSessions(std::string host, Driver* driver, Executor* loop, const Clock* clock,
               std::function<std::optional<InstanceHandle>(const std::string&)> handle_of);
  ~ExecSessions();

  // Runs what was granted to this host for an instance of it, before the grant's time is over.
  void Open(uint64_t session, const scheduler::v1::OpenExec& request, Send send);
  // Of a session that is open; others are ignored, as their end is on its way.
  void Input(uint64_t session, const scheduler::v1::ExecInput& input);
  void Credit(uint64_t session, const scheduler::v1::ExecCredit& credit);
  void Close(uint64_t session);
  void CloseAll();

 private:
  class Session;

  absl::Status WhyRefused(const scheduler::v1::ExecGrant& grant) const;

  const std::string host_;
  Driver* const driver_;
  Executor* const loop_;
  const Clock* const clock_;
  const std::function<std::optional<InstanceHandle>(const std::string&)> handle_of_;
  // Gone with the object: a session that ends while it is destroyed has nothing left to close.
  const std::shared_ptr<const bool> exists_ = std::make_shared<const bool>(true);
  std::map<uint64_t, std::unique_ptr<Session>> sessions_;
};

}  // namespace berth::agent
