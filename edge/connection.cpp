#include "edge/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <variant>

#include "common/check/check.h"
#include "edge/packed_address.h"
#include "edge/proxy_protocol.h"
#include "edge/upstream_picker.h"

namespace berth::edge {
namespace {

// An idle connection should cost little: there may be a hundred thousand.
static_assert(sizeof(Connection) <= 512);

// What a client may still send while it is being told the end.
constexpr size_t kLingerBytesMax = 1 << 20;

constexpr uint32_t kReadEvents = EPOLLIN | EPOLLRDHUP | EPOLLET;

template <typename GetName>
PackedAddress AddressOf(int fd, GetName get_name) {
  sockaddr_storage storage = {};
  socklen_t size = sizeof(storage);
  // A client that is gone already has no address; its connection is about to end anyway.
  if (get_name(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return PackedAddress::From(reinterpret_cast<const sockaddr&>(storage));
}

// Makes close(2) send RST instead of FIN.
void ResetOnClose(int fd) {
  const linger at_once = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

bool IsOpen(Flow::State state) {
  return state == Flow::State::kOpen || state == Flow::State::kHasMore;
}

}  // namespace

Connection::Connection(ConnectionContext* context, UniqueFd client, uint16_t port)
    : context_(context), client_(std::move(client)), port_(port), timer_([this] { OnTimer(); }) {}

Connection::~Connection() { BERTH_CHECK(phase_ == Phase::kEnded); }

void Connection::Start() {
  context_->counters->Increment(Count::kActive);
  last_activity_ = context_->loop->now();
  if (!context_->loop->Watch(client_.get(), kReadEvents, &client_side_).ok()) {
    context_->counters->Increment(Count::kOutOfDescriptors);
    return End();
  }
  if (!context_->table->HasHostnames(port_)) return Route(NeedMoreBytes());
  context_->loop->SetTimer(&timer_, context_->timeouts.first_byte);
  // Under load the hello has mostly arrived before the connection is accepted.
  ReadHello();
}

void Connection::OnClientReady(uint32_t events) {
  if (events == 0) has_next_turn_ = false;
  if (events & EPOLLIN) to_upstream_.SourceIsReadable();
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) to_upstream_.SourceHangsUp();
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) to_client_.SinkIsWritable();
  switch (phase_) {
    case Phase::kReadingHello:
      return ReadHello();
    case Phase::kConnecting:
      // A client that only sent its end may still read; one that is gone needs no upstream.
      if (events & (EPOLLHUP | EPOLLERR)) Reset();
      return;
    case Phase::kRelaying:
      return Relay();
    case Phase::kLingering:
      return Discard();
    case Phase::kEnded:
      return;
  }
}

void Connection::OnUpstreamReady(uint32_t events) {
  if (phase_ == Phase::kConnecting) FinishConnecting();
  if (phase_ != Phase::kRelaying) return;
  if (events & EPOLLIN) to_client_.SourceIsReadable();
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) to_client_.SourceHangsUp();
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) to_upstream_.SinkIsWritable();
  Relay();
}

void Connection::OnTimer() {
  switch (phase_) {
    case Phase::kReadingHello: {
      const absl::Duration left = last_activity_ + context_->timeouts.hello - context_->loop->now();
      if (!hello_.empty() && left > absl::ZeroDuration()) {
        return context_->loop->SetTimer(&timer_, left);
      }
      return Refuse(Alert::kNone, Count::kHelloTimeouts);
    }
    case Phase::kConnecting:
      context_->counters->Increment(Count::kConnectTimeouts);
      return AttemptFailed();
    case Phase::kRelaying:
      return OnIdleTimer();
    case Phase::kLingering:
      return End();
    case Phase::kEnded:
      return;
  }
}

void Connection::ReadHello() {
  auto& scratch = context_->buffers.scratch;
  while (true) {
    const ssize_t size = recv(client_.get(), scratch.data(), scratch.size(), 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
      context_->counters->Increment(Count::kHelloAbandoned);
      return End();
    }
    // At most kHelloWireBytesMax bytes go without a verdict, so this does not grow without bound.
    hello_.append(scratch.data(), static_cast<size_t>(size));
    const HelloVerdict verdict = ReadClientHello(hello_);
    if (std::holds_alternative<NeedMoreBytes>(verdict)) continue;
    // There may be more, of which no new edge would tell.
    if (static_cast<size_t>(size) == scratch.size()) to_upstream_.SourceIsReadable();
    return Route(verdict);
  }
}

void Connection::Route(const HelloVerdict& hello) {
  if (std::holds_alternative<MalformedHello>(hello)) {
    return Refuse(Alert::kDecodeError, Count::kHelloMalformed);
  }
  if (std::holds_alternative<HelloTooLarge>(hello)) {
    return Refuse(Alert::kDecodeError, Count::kHelloTooLarge);
  }
  // The table may be replaced while the connection is being made; the match must not outlive it.
  const std::shared_ptr<const RouteTable> table = context_->table;
  const auto* const name = std::get_if<ServerName>(&hello);
  const absl::string_view hostname =
      name != nullptr && name->hostname.has_value() ? absl::string_view(*name->hostname) : "";
  std::optional<RouteTable::Match> match = table->FindHostname(port_, hostname);
  if (!match.has_value()) match = table->FindDefault(port_);
  if (match.has_value()) return ConnectToOneOf(*match, hostname);
  if (name != nullptr) return Refuse(Alert::kUnrecognizedName, Count::kNoRoute);
  Refuse(Alert::kNone, std::holds_alternative<NotTls>(hello) ? Count::kNotTls : Count::kNoRoute);
}

void Connection::ConnectToOneOf(const RouteTable::Match& match, absl::string_view server_name) {
  Upstream* upstream = nullptr;
  if (attempts_ < kConnectAttemptsMax) {
    upstream = PickUpstream(match.upstreams, match.policy, context_->loop->now(),
                            absl::MakeConstSpan(tried_).first(attempts_));
  }
  if (upstream == nullptr) return Refuse(Alert::kNone, Count::kNoUpstream);
  tried_[attempts_++] = upstream;
  upstream_ = upstream;
  context_->registry->BeginConnection(upstream);
  proxy_header_ = ProxyHeaderFor(match, server_name);
  if (!StartConnecting()) AttemptFailed();
}

bool Connection::StartConnecting() {
  sockaddr_storage address;
  const socklen_t address_size = upstream_->address().ToSockaddr(&address);
  phase_ = Phase::kConnecting;
  upstream_socket_.Reset(
      socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!upstream_socket_.valid()) {
    // Not the upstream's fault, and another would fare no better.
    context_->counters->Increment(Count::kOutOfDescriptors);
    Linger();
    return true;
  }
  const int on = 1;
  setsockopt(upstream_socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (connect(upstream_socket_.get(), reinterpret_cast<sockaddr*>(&address), address_size) != 0 &&
      errno != EINPROGRESS) {
    return false;
  }
  // Watched after connect, for epoll would report a socket that is not connected as hung up.
  if (!context_->loop->Watch(upstream_socket_.get(), kReadEvents | EPOLLOUT, &upstream_side_)
           .ok()) {
    context_->counters->Increment(Count::kOutOfDescriptors);
    Linger();
    return true;
  }
  context_->loop->SetTimer(&timer_, context_->timeouts.connect);
  return true;
}

void Connection::FinishConnecting() {
  int error = 0;
  socklen_t error_size = sizeof(error);
  BERTH_CHECK(getsockopt(upstream_socket_.get(), SOL_SOCKET, SO_ERROR, &error, &error_size) == 0);
  if (error != 0) return AttemptFailed();
  upstream_->ConnectSucceeded();
  context_->counters->Increment(Count::kRouted);
  phase_ = Phase::kRelaying;
  // One piece, so that the upstream mostly gets the header and the hello in one packet.
  to_upstream_.Prepend(std::exchange(proxy_header_, {}) + std::exchange(hello_, {}));
  context_->loop->CallOffTimer(&timer_);
  if (IdleTimeout() != absl::InfiniteDuration()) {
    context_->loop->SetTimer(&timer_, IdleTimeout());
  }
}

void Connection::AttemptFailed() {
  context_->counters->Increment(Count::kConnectFailures);
  upstream_->ConnectFailed(context_->loop->now());
  ReleaseUpstream();
  // Nothing was sent yet, so another upstream may have it, by the table of now.
  Route(ReadClientHello(hello_));
}

std::string Connection::ProxyHeaderFor(const RouteTable::Match& match,
                                       absl::string_view server_name) const {
  if (match.proxy_protocol == ProxyProtocol::kNone) return {};
  return ProxyHeader({AddressOf(client_.get(), getpeername), AddressOf(client_.get(), getsockname),
                      server_name, match.id});
}

void Connection::Relay() {
  last_activity_ = context_->loop->now();
  PumpBoth();
  const bool client_failed = to_upstream_state_ == Flow::State::kSourceReset ||
                             to_client_state_ == Flow::State::kSinkReset;
  if (client_failed || to_client_state_ == Flow::State::kSourceReset) return Reset();
  if (to_client_state_ == Flow::State::kEnded && !IsOpen(to_upstream_state_)) {
    // An upstream that closed without reading everything may still have answered in full, so the
    // client gets an ordinary end; but some of its bytes may lie unread.
    return to_upstream_state_ == Flow::State::kEnded ? End() : Linger();
  }
  if (to_client_.IsBlocked() && !client_watched_for_room_) {
    // Only now: most clients take every answer at once, and the wake-ups are saved.
    client_watched_for_room_ = true;
    context_->loop->WatchFor(client_.get(), kReadEvents | EPOLLOUT, &client_side_);
  }
  const bool has_more =
      to_upstream_state_ == Flow::State::kHasMore || to_client_state_ == Flow::State::kHasMore;
  if (has_more && !has_next_turn_) {
    has_next_turn_ = true;
    context_->loop->NextTurn(&client_side_);
  }
}

void Connection::PumpBoth() {
  size_t moved = 0;
  if (IsOpen(to_upstream_state_)) {
    to_upstream_state_ =
        to_upstream_.Pump(client_.get(), upstream_socket_.get(), &context_->buffers, &moved);
    context_->counters->Add(Count::kBytesToUpstreams, moved);
  }
  if (!IsOpen(to_client_state_)) return;
  moved = 0;
  to_client_state_ =
      to_client_.Pump(upstream_socket_.get(), client_.get(), &context_->buffers, &moved);
  context_->counters->Add(Count::kBytesToClients, moved);
  if (to_client_state_ == Flow::State::kEnded && IdleTimeout() != absl::InfiniteDuration()) {
    context_->loop->SetTimer(&timer_, IdleTimeout());
  }
}

absl::Duration Connection::IdleTimeout() const {
  const ConnectionTimeouts& timeouts = context_->timeouts;
  return to_client_state_ == Flow::State::kEnded
             ? std::min(timeouts.idle, timeouts.idle_after_upstream_end)
             : timeouts.idle;
}

void Connection::OnIdleTimer() {
  // The timer is not moved with every byte; it looks here how long ago the last one was.
  const absl::Duration left = last_activity_ + IdleTimeout() - context_->loop->now();
  if (left > absl::ZeroDuration()) return context_->loop->SetTimer(&timer_, left);
  Refuse(Alert::kNone, Count::kIdleTimeouts);
}

void Connection::LeaveUpstream(absl::string_view id) {
  if (upstream_ == nullptr || upstream_->id() != id) return;
  if (phase_ == Phase::kConnecting) {
    ReleaseUpstream();
    return Route(ReadClientHello(hello_));
  }
  Refuse(Alert::kNone, Count::kClosedWithUpstream);
}

void Connection::Refuse(Alert alert, Count reason) {
  context_->counters->Increment(reason);
  if (alert != Alert::kNone) {
    const std::array<char, 7> record = {21, 3, 3, 0, 2, 2, static_cast<char>(alert)};
    // A client that has no room for seven bytes was not listening.
    if (send(client_.get(), record.data(), record.size(), MSG_NOSIGNAL) < 0) return End();
  }
  Linger();
}

void Connection::Linger() {
  ReleaseUpstream();
  phase_ = Phase::kLingering;
  if (shutdown(client_.get(), SHUT_WR) != 0) return End();
  context_->loop->SetTimer(&timer_, context_->timeouts.linger);
  Discard();
}

void Connection::Discard() {
  auto& scratch = context_->buffers.scratch;
  while (discarded_bytes_ < kLingerBytesMax) {
    const ssize_t size = recv(client_.get(), scratch.data(), scratch.size(), 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) break;
    discarded_bytes_ += static_cast<size_t>(size);
  }
  End();
}

void Connection::Reset() {
  context_->counters->Increment(Count::kResets);
  ResetOnClose(client_.get());
  if (upstream_socket_.valid()) ResetOnClose(upstream_socket_.get());
  End();
}

void Connection::End() {
  phase_ = Phase::kEnded;
  context_->loop->CallOffTimer(&timer_);
  if (has_next_turn_) context_->loop->CancelNextTurn(&client_side_);
  ReleaseUpstream();
  client_.Reset();
  context_->counters->Decrement(Count::kActive);
  context_->on_end(this);
}

void Connection::ReleaseUpstream() {
  upstream_socket_.Reset();
  if (upstream_ == nullptr) return;
  context_->registry->EndConnection(upstream_);
  upstream_ = nullptr;
}

}  // namespace berth::edge
