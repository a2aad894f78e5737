#include "services/scheduler/relay.h"

#include <deque>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status/error_details.h"
#include "common/sync/mutex.h"

namespace berth::scheduler {

// The scheduler's end of one agent's stream.
class Relay::Link : public rpc::Conversation {
 public:
  Link(Relay* relay, std::string host, uint64_t number, std::weak_ptr<rpc::Stream> stream)
      : relay_(relay), host_(std::move(host)), number_(number), stream_(std::move(stream)) {}
  ~Link() override { relay_->Disconnected(host_, number_); }

  uint64_t number() const { return number_; }

  void Send(const v1::RelayDown& message) {
    {
      MutexLock lock(&mutex_);
      waiting_.push_back(std::make_shared<const std::string>(message.SerializeAsString()));
    }
    if (std::shared_ptr<rpc::Stream> stream = stream_.lock()) stream->Wake();
  }

  void End(absl::Status status) {
    if (std::shared_ptr<rpc::Stream> stream = stream_.lock()) stream->End(std::move(status));
  }

  WatchFrame Next() override {
    MutexLock lock(&mutex_);
    if (waiting_.empty()) return {};
    WatchFrame frame = {std::move(waiting_.front())};
    waiting_.pop_front();
    return frame;
  }

  absl::Status Receive(const std::string& bytes) override {
    v1::RelayUp message;
    if (!message.ParseFromString(bytes)) {
      return absl::InvalidArgumentError("the message is not a RelayUp");
    }
    relay_->Receive(host_, message);
    return absl::OkStatus();
  }

 private:
  Relay* const relay_;
  const std::string host_;
  const uint64_t number_;
  const std::weak_ptr<rpc::Stream> stream_;
  Mutex mutex_;
  std::deque<std::shared_ptr<const std::string>> waiting_ ABSL_GUARDED_BY(mutex_);
};

void Relay::Connect(const std::string& host, std::shared_ptr<rpc::Stream> stream) {
  std::shared_ptr<Link> link;
  std::shared_ptr<Link> older;
  {
    MutexLock lock(&mutex_);
    link = std::make_shared<Link>(this, host, ++links_opened_, stream);
    std::weak_ptr<Link>& current = links_[host];
    older = current.lock();
    current = link;
  }
  if (older != nullptr) older->End(absl::AbortedError("the agent has opened a newer stream"));
  stream->Begin(std::move(link));
}

std::set<std::string> Relay::Connected() {
  std::set<std::string> connected;
  MutexLock lock(&mutex_);
  for (const auto& [host, link] : links_) {
    if (!link.expired()) connected.insert(host);
  }
  return connected;
}

absl::StatusOr<uint64_t> Relay::OpenLogs(const std::string& host, const v1::OpenLogs& request,
                                         Session session) {
  v1::RelayDown message;
  *message.mutable_open_logs() = request;
  return Open(host, std::move(message),
              absl::StrCat("the output of ", request.instance(), " cannot be read"),
              std::move(session));
}

absl::StatusOr<uint64_t> Relay::OpenExec(const std::string& host, const std::string& instance,
                                         const v1::OpenExec& request, Session session) {
  v1::RelayDown message;
  *message.mutable_open_exec() = request;
  return Open(host, std::move(message), absl::StrCat("nothing can be run in ", instance),
              std::move(session));
}

absl::StatusOr<uint64_t> Relay::Open(const std::string& host, v1::RelayDown message,
                                     absl::string_view what, Session session) {
  std::shared_ptr<Link> link;
  {
    MutexLock lock(&mutex_);
    if (const auto found = links_.find(host); found != links_.end()) link = found->second.lock();
    if (link == nullptr) {
      return WithReason(
          absl::UnavailableError(absl::StrCat("the agent of host ", host, " is not connected, so ",
                                              what, "; see: berth host list")),
          reason::kHostUnreachable);
    }
    message.set_session(++sessions_opened_);
    sessions_[message.session()] = {host, link->number(),
                                    std::make_shared<Session>(std::move(session))};
  }
  link->Send(message);
  return message.session();
}

void Relay::Send(uint64_t session, v1::RelayDown message) {
  std::shared_ptr<Link> link;
  {
    MutexLock lock(&mutex_);
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return;
    const auto at = links_.find(found->second.host);
    if (at != links_.end()) link = at->second.lock();
    if (link == nullptr || link->number() != found->second.link) return;
  }
  message.set_session(session);
  link->Send(message);
}

void Relay::Close(uint64_t session) {
  std::shared_ptr<Link> link;
  {
    MutexLock lock(&mutex_);
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return;
    if (const auto at = links_.find(found->second.host); at != links_.end()) {
      link = at->second.lock();
    }
    sessions_.erase(found);
  }
  if (link == nullptr) return;
  v1::RelayDown message;
  message.set_session(session);
  message.mutable_close();
  link->Send(message);
}

void Relay::Receive(const std::string& host, const v1::RelayUp& message) {
  std::shared_ptr<Session> session;
  {
    MutexLock lock(&mutex_);
    const auto found = sessions_.find(message.session());
    // An agent speaks only of the sessions that were opened to it.
    if (found == sessions_.end() || found->second.host != host) return;
    session = found->second.session;
    if (message.has_ended()) sessions_.erase(found);
  }
  if (message.has_line()) {
    session->line(message.line());
  } else if (message.has_ended()) {
    session->ended(message.ended().error().empty()
                       ? absl::OkStatus()
                       : absl::UnavailableError(message.ended().error()));
  } else if (session->exec) {
    session->exec(message);
  }
}

void Relay::Disconnected(const std::string& host, uint64_t link) {
  std::vector<std::shared_ptr<Session>> cut_off;
  {
    MutexLock lock(&mutex_);
    if (const auto current = links_.find(host);
        current != links_.end() && current->second.expired()) {
      links_.erase(current);
    }
    for (auto open = sessions_.begin(); open != sessions_.end();) {
      // A newer stream of the host serves the sessions that were opened on it.
      if (open->second.link != link) {
        ++open;
        continue;
      }
      cut_off.push_back(std::move(open->second.session));
      open = sessions_.erase(open);
    }
  }
  for (const std::shared_ptr<Session>& session : cut_off) {
    session->ended(WithReason(
        absl::UnavailableError(absl::StrCat("the agent of host ", host, " has disconnected")),
        reason::kHostUnreachable));
  }
}

LogsConversation::~LogsConversation() {
  std::vector<uint64_t> sessions;
  {
    MutexLock lock(&mutex_);
    sessions.swap(sessions_);
  }
  for (const uint64_t session : sessions) relay_->Close(session);
}

void LogsConversation::Add(const std::shared_ptr<LogsConversation>& conversation,
                           const std::string& host, const v1::OpenLogs& request, uint32_t attempt) {
  {
    MutexLock lock(&conversation->mutex_);
    if (!conversation->added_.insert({request.instance(), attempt}).second) return;
    ++conversation->open_;
  }
  const std::weak_ptr<LogsConversation> weak = conversation;
  const absl::StatusOr<uint64_t> session =
      conversation->relay_->OpenLogs(host, request,
                                     {[weak](const v1::LogsResponse& line) {
                                        if (auto alive = weak.lock()) alive->Push(line);
                                      },
                                      [weak](absl::Status status) {
                                        if (auto alive = weak.lock())
                                          alive->Finished(std::move(status));
                                      }});
  if (!session.ok()) return conversation->Finished(session.status());
  MutexLock lock(&conversation->mutex_);
  conversation->sessions_.push_back(*session);
}

WatchFrame LogsConversation::Next() {
  MutexLock lock(&mutex_);
  if (lines_.empty()) return {};
  WatchFrame frame = {std::move(lines_.front())};
  lines_.pop_front();
  bytes_waiting_ -= frame.front()->size();
  return frame;
}

void LogsConversation::Push(const v1::LogsResponse& line) {
  const std::shared_ptr<rpc::Stream> stream = stream_.lock();
  if (stream == nullptr) return;
  bool cut_off = false;
  {
    MutexLock lock(&mutex_);
    if (cut_off_) return;
    cut_off_ = cut_off = bytes_waiting_ >= Relay::kBytesWaitingMax;
    if (!cut_off) {
      lines_.push_back(std::make_shared<const std::string>(line.SerializeAsString()));
      bytes_waiting_ += lines_.back()->size();
    }
  }
  // Neither is called with the lock held: the stream may come straight back for the next line.
  if (!cut_off) {
    stream->Wake();
  } else {
    stream->End(absl::ResourceExhaustedError(
        "the output is read more slowly than it is written; ask for less of it"));
  }
}

void LogsConversation::Finished(absl::Status status) {
  absl::Status end;
  {
    MutexLock lock(&mutex_);
    if (error_.ok()) error_ = std::move(status);
    if (--open_ > 0 || (error_.ok() && end_ == End::kWhenTheClientGoes)) return;
    end = error_;
  }
  if (std::shared_ptr<rpc::Stream> stream = stream_.lock()) stream->End(end);
}

}  // namespace berth::scheduler
