#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "agent/exec_sessions.h"
#include "agent/runtime/driver.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "common/executor/executor.h"
#include "common/executor/thread_executor.h"
#include "common/rpc/channel.h"

namespace berth::agent {

// Keeps the agent's stream to the scheduler open, and answers what comes over it: reads the logs of
// instances, and has commands run. Lives on the agent's loop.
class LogRelay {
 public:
  static constexpr absl::Duration kReconnectDelay = absl::Seconds(1);
  // Logs read at the same time; further ones are refused.
  static constexpr size_t kSessionsMax = 32;

  // `execs` runs the commands that come over the stream.
  LogRelay(std::shared_ptr<rpc::Channel> channel, Driver* driver, ExecSessions* execs,
           Executor* loop,
           std::function<std::optional<InstanceHandle>(const std::string&)> handle_of)
      : channel_(std::move(channel)),
        driver_(driver),
        execs_(execs),
        loop_(loop),
        handle_of_(std::move(handle_of)) {}
  ~LogRelay();

  void Connect();

 private:
  // One log being read, on a thread of its own: it blocks for as long as the log is followed.
  struct Session {
    std::stop_source stop;
    std::unique_ptr<ThreadExecutor> thread;
  };

  void Received(const scheduler::v1::RelayDown& message);
  void OpenLog(uint64_t session, const scheduler::v1::OpenLogs& request);
  void CloseSession(uint64_t session);
  void Disconnected(const absl::Status& status);
  static void SendEnded(rpc::ClientStream* stream, uint64_t session, const std::string& error);

  const std::shared_ptr<rpc::Channel> channel_;
  Driver* const driver_;
  ExecSessions* const execs_;
  Executor* const loop_;
  const std::function<std::optional<InstanceHandle>(const std::string&)> handle_of_;
  std::shared_ptr<rpc::ClientStream> stream_;
  uint64_t generation_ = 0;
  std::map<uint64_t, Session> sessions_;
};

}  // namespace berth::agent
