#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "common/rpc/dispatcher.h"
#include "common/sync/mutex.h"

namespace berth::scheduler {

// Reaches instances over the streams that their hosts' agents keep open. Safe from any thread.
class Relay {
 public:
  // One conversation with an agent; its functions are called one at a time, `ended` last.
  struct Session {
    std::function<void(const v1::LogsResponse&)> line;
    std::function<void(absl::Status)> ended;
    // Commands only: what is neither.
    std::function<void(const v1::RelayUp&)> exec = nullptr;
  };

  // What may wait for a reader; one who falls behind by more is cut off.
  static constexpr size_t kBytesWaitingMax = size_t{16} << 20;

  // Takes a host's stream; an older one of the same host is ended.
  void Connect(const std::string& host, std::shared_ptr<rpc::Stream> stream);

  // Hosts whose agents keep their stream open.
  std::set<std::string> Connected();

  // Begins to read an instance's output. Answers the session's id, for Close. kUnavailable: the
  // host's agent is not connected.
  absl::StatusOr<uint64_t> OpenLogs(const std::string& host, const v1::OpenLogs& request,
                                    Session session);

  // Begins to run a command in an instance; as OpenLogs.
  absl::StatusOr<uint64_t> OpenExec(const std::string& host, const std::string& instance,
                                    const v1::OpenExec& request, Session session);

  // Sends more on a session. Unknown ids are ignored.
  void Send(uint64_t session, v1::RelayDown message);

  // Ends a session without calling it any more. Unknown ids are ignored.
  void Close(uint64_t session);

 private:
  class Link;

  absl::StatusOr<uint64_t> Open(const std::string& host, v1::RelayDown message,
                                absl::string_view what, Session session);
  void Receive(const std::string& host, const v1::RelayUp& message);
  void Disconnected(const std::string& host, uint64_t link);

  struct OpenSession {
    std::string host;
    uint64_t link;  // The stream that it was opened on.
    std::shared_ptr<Session> session;
  };

  Mutex mutex_;
  std::map<std::string, std::weak_ptr<Link>> links_ ABSL_GUARDED_BY(mutex_);
  uint64_t links_opened_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, OpenSession> sessions_ ABSL_GUARDED_BY(mutex_);
  uint64_t sessions_opened_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Streams the output of several instances to one client.
class LogsConversation : public rpc::Conversation {
 public:
  // What becomes of it once all that was added has ended.
  enum class End { kWithTheLast, kWhenTheClientGoes };

  LogsConversation(Relay* relay, std::weak_ptr<rpc::Stream> stream, End end = End::kWithTheLast)
      : relay_(relay), stream_(std::move(stream)), end_(end) {}
  ~LogsConversation() override;

  // Adds an attempt of an instance, once; call AllAdded after the last one that is there already. A
  // host that cannot be reached is told of when nothing else is left to read, and ends the stream.
  static void Add(const std::shared_ptr<LogsConversation>& conversation, const std::string& host,
                  const v1::OpenLogs& request, uint32_t attempt = 0);
  void AllAdded() { Finished(absl::OkStatus()); }

  WatchFrame Next() override;

 private:
  void Push(const v1::LogsResponse& line);
  void Finished(absl::Status status);

  Relay* const relay_;
  const std::weak_ptr<rpc::Stream> stream_;
  const End end_;
  Mutex mutex_;
  std::set<std::pair<std::string, uint32_t>> added_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<const std::string>> lines_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_waiting_ ABSL_GUARDED_BY(mutex_) = 0;  // Of lines_.
  bool cut_off_ ABSL_GUARDED_BY(mutex_) = false;      // A line was left out: none may follow.
  std::vector<uint64_t> sessions_ ABSL_GUARDED_BY(mutex_);
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  int open_ ABSL_GUARDED_BY(mutex_) = 1;  // The caller's hold, until AllAdded.
};

}  // namespace berth::scheduler
