#include "agent/log_relay.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log/log.h"
#include "common/text/utf8.h"

namespace berth::agent {
namespace {

constexpr size_t kLineBytesMax = 16 << 10;

}  // namespace

LogRelay::~LogRelay() {
  for (auto& [id, session] : sessions_) session.stop.request_stop();
}

void LogRelay::Connect() {
  const uint64_t generation = ++generation_;
  stream_ = channel_->Open<scheduler::v1::RelayDown>(
      scheduler::v1::RelayUp(),
      [this, generation](const scheduler::v1::RelayDown& message) {
        loop_->Post([this, generation, message] {
          if (generation == generation_) Received(message);
        });
      },
      [this, generation](absl::Status status) {
        loop_->Post([this, generation, status] {
          if (generation == generation_) Disconnected(status);
        });
      });
}

void LogRelay::Disconnected(const absl::Status& status) {
  LogInfo("the relay stream ended and is opened again", {{"why", status.message()}});
  ++generation_;
  for (auto& [id, session] : sessions_) session.stop.request_stop();
  sessions_.clear();
  execs_->CloseAll();
  stream_.reset();
  loop_->PostAfter(kReconnectDelay, [this, generation = generation_] {
    if (generation == generation_) Connect();
  });
}

void LogRelay::Received(const scheduler::v1::RelayDown& message) {
  if (message.has_open_logs()) {
    OpenLog(message.session(), message.open_logs());
  } else if (message.has_open_exec()) {
    execs_->Open(message.session(), message.open_exec(),
                 [stream = stream_](const scheduler::v1::RelayUp& up) {
                   stream->Send(up.SerializeAsString());
                 });
  } else if (message.has_exec_input()) {
    execs_->Input(message.session(), message.exec_input());
  } else if (message.has_exec_credit()) {
    execs_->Credit(message.session(), message.exec_credit());
  } else if (message.has_close()) {
    execs_->Close(message.session());
    CloseSession(message.session());
  }
}

void LogRelay::CloseSession(uint64_t session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  found->second.stop.request_stop();
  sessions_.erase(found);
}

void LogRelay::SendEnded(rpc::ClientStream* stream, uint64_t session, const std::string& error) {
  scheduler::v1::RelayUp message;
  message.set_session(session);
  message.mutable_ended()->set_error(ToUtf8(error));
  stream->Send(message.SerializeAsString());
}

void LogRelay::OpenLog(uint64_t session, const scheduler::v1::OpenLogs& request) {
  const std::optional<InstanceHandle> handle = handle_of_(request.instance());
  if (!handle.has_value()) {
    SendEnded(stream_.get(), session,
              absl::StrCat("instance ", request.instance(), " has not been started on this host"));
    return;
  }
  if (sessions_.size() >= kSessionsMax) {
    SendEnded(
        stream_.get(), session,
        absl::StrCat("this host is reading ", kSessionsMax, " logs already; try again later"));
    return;
  }
  Session& open = sessions_[session];
  open.thread = std::make_unique<ThreadExecutor>("log");
  LogQuery query;
  query.tail_lines_max = static_cast<int>(std::min<uint32_t>(request.tail(), kLogTailLinesMax));
  query.follow = request.follow();
  open.thread->Post([this, session, query, handle = *handle, instance = request.instance(),
                     stop = open.stop.get_token(), stream = stream_] {
    const absl::Status status = driver_->FollowLog(handle, query, stop, [&](const LogLine& line) {
      scheduler::v1::RelayUp message;
      message.set_session(session);
      message.mutable_line()->set_instance(instance);
      message.mutable_line()->set_stream(line.source == LogLine::Source::kError
                                             ? scheduler::v1::OUTPUT_STREAM_STDERR
                                             : scheduler::v1::OUTPUT_STREAM_STDOUT);
      message.mutable_line()->set_line(line.text.substr(0, kLineBytesMax));
      stream->Send(message.SerializeAsString());
      return true;
    });
    SendEnded(stream.get(), session, std::string(status.message()));
    loop_->Post([this, session] { CloseSession(session); });
  });
}

}  // namespace berth::agent
