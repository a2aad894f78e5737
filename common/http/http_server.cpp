#include "common/http/http_server.h"

#include <fcntl.h>
#include <httplib.h>
#include <sys/socket.h>

#include <deque>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/executor/thread_executor.h"
#include "common/log/log.h"
#include "common/net/socket_address.h"
#include "common/status/status_macros.h"
#include "common/sync/mutex.h"

namespace berth {
namespace {

// The library's own queue grows with what clients send. This one hands a connection over only when
// a thread is free.
class BoundedQueue : public httplib::TaskQueue {
 public:
  BoundedQueue() {
    for (size_t i = 0; i < HttpServer::kThreads; ++i) {
      threads_.push_back(std::make_unique<ThreadExecutor>(absl::StrCat("http-", i)));
      idle_.push_back(threads_.back().get());
    }
  }

  // Nothing in older versions of the library; whether it was taken in newer ones.
  using Enqueued = decltype(std::declval<httplib::TaskQueue&>().enqueue({}));

  Enqueued enqueue(std::function<void()> task) override {
    MutexLock lock(&mutex_);
    mutex_.Await([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return !idle_.empty(); });
    ThreadExecutor* const thread = idle_.back();
    idle_.pop_back();
    thread->Post([this, thread, task = std::move(task)] {
      task();
      MutexLock done(&mutex_);
      idle_.push_back(thread);
    });
    return Enqueued(true);
  }

  // A task closes its connection, so each one must run.
  void shutdown() override {
    {
      MutexLock lock(&mutex_);
      mutex_.Await([this]()
                       ABSL_NO_THREAD_SAFETY_ANALYSIS { return idle_.size() == threads_.size(); });
    }
    for (const auto& thread : threads_) thread->Stop();
  }

 private:
  std::vector<std::unique_ptr<ThreadExecutor>> threads_;
  Mutex mutex_;
  std::deque<ThreadExecutor*> idle_ ABSL_GUARDED_BY(mutex_);
};

class LibraryServer : public HttpServer {
 public:
  LibraryServer(HostPort address, const std::map<std::string, HttpPage>& pages)
      : host_port_(std::move(address)), listener_("http") {
    server_.new_task_queue = [this] {
      EnterPhase(Phase::kListening);
      return new BoundedQueue;
    };
    // Without SO_REUSEPORT, which would let two daemons share the port unawares.
    server_.set_socket_options([](int socket) {
      const int on = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
      fcntl(socket, F_SETFD, FD_CLOEXEC);
    });
    server_.set_keep_alive_max_count(1);
    server_.set_payload_max_length(kRequestBodyBytesMax);
    server_.set_read_timeout(absl::ToChronoSeconds(kReadTimeout));
    server_.set_write_timeout(absl::ToChronoSeconds(kWriteTimeout));
    for (const auto& [path, page] : pages) {
      server_.Get(path, [page](const httplib::Request&, httplib::Response& response) {
        const HttpResponse made = page();
        response.status = made.status;
        response.set_content(made.body, made.content_type.c_str());
      });
    }
    server_.set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (response.body.empty()) {
        response.set_content(absl::StrCat("error ", response.status, "\n"), "text/plain");
      }
    });
  }

  ~LibraryServer() override {
    Phase phase = Phase::kIdle;
    {
      MutexLock lock(&mutex_);
      stopping_ = true;
      // One that is just beginning would not hear of it.
      mutex_.Await([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return phase_ != Phase::kBeginning; });
      phase = phase_;
    }
    if (phase == Phase::kListening) server_.stop();
    listener_.Stop();
  }

  absl::Status Listen() {
    BERTH_RETURN_IF_ERROR(Bind());
    listener_.Post([this] { Serve(); });
    MutexLock lock(&mutex_);
    mutex_.Await([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return phase_ == Phase::kListening; });
    return absl::OkStatus();
  }

  const std::string& address() const override { return address_; }

 private:
  // Of the library's loop, which can be stopped only while it listens.
  enum class Phase { kIdle, kBeginning, kListening };

  void EnterPhase(Phase phase) {
    MutexLock lock(&mutex_);
    phase_ = phase;
  }

  absl::Status Bind() {
    const int port = host_port_.port == 0 ? server_.bind_to_any_port(host_port_.host)
                     : server_.bind_to_port(host_port_.host, host_port_.port) ? host_port_.port
                                                                              : -1;
    if (port <= 0) {
      return absl::UnavailableError(absl::StrCat("cannot listen on ", FormatHostPort(host_port_),
                                                 ": the address is in use; see: ss -ltnp"));
    }
    host_port_.port = static_cast<uint16_t>(port);
    address_ = FormatHostPort(host_port_);
    return absl::OkStatus();
  }

  // Serves until it is stopped. The library gives up when accepting fails once; then it begins
  // anew.
  void Serve() {
    {
      MutexLock lock(&mutex_);
      if (stopping_) return;
      phase_ = Phase::kBeginning;
    }
    server_.listen_after_bind();
    {
      MutexLock lock(&mutex_);
      phase_ = Phase::kIdle;
      if (stopping_) return;
    }
    LogWarning("HTTP could not accept and listens anew", {{"address", address_}});
    listener_.PostAfter(kRestartDelay, [this] { Restart(); });
  }

  void Restart() {
    if (Bind().ok()) return Serve();
    listener_.PostAfter(kRestartDelay, [this] { Restart(); });
  }

  HostPort host_port_;
  std::string address_;
  httplib::Server server_;
  Mutex mutex_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kIdle;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  ThreadExecutor listener_;
};

}  // namespace

absl::Status CheckLoopback(absl::string_view address) {
  BERTH_ASSIGN_OR_RETURN(const HostPort host_port, ParseHostPort(address));
  if (host_port.host == "localhost" || host_port.host == "::1") return absl::OkStatus();
  const absl::StatusOr<SocketAddress> numeric = SocketAddress::FromIp(host_port.host, 0);
  if (numeric.ok() && numeric->family() == AF_INET && absl::StartsWith(numeric->ip(), "127.")) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("plain HTTP is served on the loopback only, and ", address,
                   " is not: name 127.0.0.1:PORT, and reach it from elsewhere through a proxy "
                   "that speaks TLS"));
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    absl::string_view address, std::map<std::string, HttpPage> pages) {
  BERTH_RETURN_IF_ERROR(CheckLoopback(address));
  BERTH_ASSIGN_OR_RETURN(HostPort host_port, ParseHostPort(address));
  auto server = std::make_unique<LibraryServer>(std::move(host_port), pages);
  BERTH_RETURN_IF_ERROR(server->Listen());
  return server;
}

}  // namespace berth
