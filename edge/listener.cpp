#include "edge/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "common/status/status_macros.h"

namespace berth::edge {
namespace {

// The kernel cuts it to net.core.somaxconn.
constexpr int kBacklogMax = 4096;

// Connections taken before others of the loop have their turn.
constexpr int kAcceptsPerTurnMax = 64;

// How long accepting pauses when there is no room. A listener that has connections waiting is ready
// all the time, so trying on without a pause would take the whole core.
constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);

// After so long without a byte a client is asked whether it is still there.
constexpr int kKeepaliveIdleSeconds = 300;

absl::Status OpenError(int error) {
  switch (error) {
    case EADDRINUSE:
      return absl::AlreadyExistsError("address in use");
    case EACCES:
      return absl::PermissionDeniedError("permission denied");
    case EADDRNOTAVAIL:
      return absl::FailedPreconditionError("address is not this machine's");
    default:
      return absl::ErrnoToStatus(error, "cannot listen");
  }
}

absl::Status SetOption(int socket, int level, int option, int value) {
  if (setsockopt(socket, level, option, &value, sizeof(value)) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "cannot set a socket option");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Open(const SocketAddress& address,
                                                         EventLoop* loop, Owner* owner) {
  UniqueFd fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!fd.valid()) return OpenError(errno);
  if (address.family() == AF_INET6) {
    BERTH_RETURN_IF_ERROR(SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0));
  }
  BERTH_RETURN_IF_ERROR(SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1));
  BERTH_RETURN_IF_ERROR(SetOption(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1));
  // Accepted sockets inherit these, which saves a system call each.
  BERTH_RETURN_IF_ERROR(SetOption(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1));
  BERTH_RETURN_IF_ERROR(SetOption(fd.get(), SOL_SOCKET, SO_KEEPALIVE, 1));
  BERTH_RETURN_IF_ERROR(SetOption(fd.get(), IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdleSeconds));
  if (bind(fd.get(), address.sockaddr(), address.sockaddr_size()) != 0 ||
      listen(fd.get(), kBacklogMax) != 0) {
    return OpenError(errno);
  }
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<Listener> listener, Adopt(std::move(fd), loop, owner));
  listener->Resume();
  return listener;
}

absl::StatusOr<std::unique_ptr<Listener>> Listener::Adopt(UniqueFd socket, EventLoop* loop,
                                                          Owner* owner) {
  int listens = 0;
  socklen_t listens_size = sizeof(listens);
  if (getsockopt(socket.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size) != 0 ||
      listens == 0) {
    return absl::InvalidArgumentError("not a socket that listens");
  }
  sockaddr_storage storage = {};
  socklen_t size = sizeof(storage);
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    return absl::ErrnoToStatus(errno, "cannot tell a socket's address");
  }
  BERTH_ASSIGN_OR_RETURN(const SocketAddress address, SocketAddress::FromStorage(storage));
  std::unique_ptr<Listener> listener(new Listener(std::move(socket), address.port(), loop, owner));
  BERTH_RETURN_IF_ERROR(loop->Watch(listener->socket_.get(), 0, listener.get()));
  return listener;
}

Listener::Listener(UniqueFd socket, uint16_t port, EventLoop* loop, Owner* owner)
    : socket_(std::move(socket)), port_(port), loop_(loop), owner_(owner), resume_timer_([this] {
        Resume();
      }) {}

Listener::~Listener() {
  loop_->CallOffTimer(&resume_timer_);
  // Closing would not do: epoll watches the socket as long as any process has a descriptor of it.
  loop_->Unwatch(socket_.get());
}

UniqueFd Listener::Duplicate() const { return UniqueFd(fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0)); }

void Listener::OnReady(uint32_t) {
  if (resume_timer_.IsSet()) return;
  for (int i = 0; i < kAcceptsPerTurnMax; ++i) {
    if (AcceptOne() != Accepted::kOne) return;
  }
}

void Listener::AcceptAll() {
  // Bounded by what can wait: nothing new is routed here once the others are bound without it.
  for (int i = 0; i < kBacklogMax; ++i) {
    if (AcceptOne() != Accepted::kOne) return;
  }
}

Listener::Accepted Listener::AcceptOne() {
  if (!owner_->HasRoom()) {
    Pause();
    return Accepted::kPaused;
  }
  UniqueFd client(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (client.valid()) {
    owner_->OnAccepted(std::move(client), port_);
    return Accepted::kOne;
  }
  switch (errno) {
    case EAGAIN:
      return Accepted::kNone;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      owner_->OnOutOfDescriptors();
      Pause();
      return Accepted::kPaused;
    // Anything else is one connection that failed while it waited (accept(2) lists them).
    default:
      return Accepted::kOne;
  }
}

void Listener::Pause() {
  loop_->WatchFor(socket_.get(), 0, this);
  loop_->SetTimer(&resume_timer_, kAcceptPause);
}

void Listener::Resume() { loop_->WatchFor(socket_.get(), EPOLLIN, this); }

}  // namespace berth::edge
