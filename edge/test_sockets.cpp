#include "edge/test_sockets.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "common/clock/system_clock.h"

namespace berth::edge::testing {
namespace {

// Far more than anything takes on a machine that works at all.
constexpr int kPatienceSeconds = 30;

[[noreturn]] void Fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

UniqueFd NewSocket(int family) {
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) Fail("socket");
  return fd;
}

SocketAddress AddressOf(int fd) {
  sockaddr_storage storage = {};
  socklen_t size = sizeof(storage);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) Fail("getsockname");
  return SocketAddress::FromStorage(storage).value();
}

UniqueFd Bound(const SocketAddress& address) {
  UniqueFd fd = NewSocket(address.family());
  if (bind(fd.get(), address.sockaddr(), address.sockaddr_size()) != 0) Fail("bind");
  return fd;
}

}  // namespace

TestSocket::TestSocket(UniqueFd fd) : fd_(std::move(fd)) {
  const timeval patience = {kPatienceSeconds, 0};
  setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  const int on = 1;
  setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

TestSocket TestSocket::ConnectTo(uint16_t port, const std::string& ip) {
  TestSocket client(NewSocket(SocketAddress::FromIp(ip, port)->family()));
  client.Connect(port, ip);
  return client;
}

void TestSocket::Connect(uint16_t port, const std::string& ip) {
  const SocketAddress address = SocketAddress::FromIp(ip, port).value();
  if (connect(fd_.get(), address.sockaddr(), address.sockaddr_size()) != 0) Fail("connect");
}

void TestSocket::Send(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0) Fail("send");
    bytes.remove_prefix(static_cast<size_t>(size));
  }
}

void TestSocket::SendIfPossible(absl::string_view bytes) {
  if (send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return;
}

void TestSocket::FinishSending() {
  if (shutdown(fd_.get(), SHUT_WR) != 0) Fail("shutdown");
}

void TestSocket::ResetOnClose() {
  const linger at_once = {1, 0};
  setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

std::string TestSocket::Read(size_t size) {
  std::string bytes;
  std::array<char, 64 << 10> buffer;
  while (bytes.size() < size) {
    const size_t wanted = std::min(buffer.size(), size - bytes.size());
    const ssize_t got = recv(fd_.get(), buffer.data(), wanted, 0);
    if (got < 0) Fail("recv");
    if (got == 0) break;
    bytes.append(buffer.data(), static_cast<size_t>(got));
  }
  return bytes;
}

std::string TestSocket::ReadToEnd() { return Read(std::string().max_size()); }

bool TestSocket::EndsWithReset() {
  try {
    ReadToEnd();
    return false;
  } catch (const std::system_error& error) {
    return error.code().value() == ECONNRESET;
  }
}

SocketAddress TestSocket::LocalAddress() const { return AddressOf(fd_.get()); }

TestUpstream::TestUpstream(const std::string& ip, int backlog)
    : fd_(Bound(SocketAddress::FromIp(ip, 0).value())), address_(AddressOf(fd_.get())) {
  if (listen(fd_.get(), backlog) != 0) Fail("listen");
}

void TestUpstream::StopListening() {
  // A bound socket that does not listen: connecting to it is refused.
  fd_.Reset();
  fd_ = Bound(address_);
}

void TestUpstream::ListenAgain() {
  if (listen(fd_.get(), 128) != 0) Fail("listen");
}

TestSocket TestUpstream::Accept() {
  pollfd waiting = {fd_.get(), POLLIN, 0};
  if (poll(&waiting, 1, kPatienceSeconds * 1000) != 1) Fail("no connection to accept");
  UniqueFd fd(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd.valid()) Fail("accept");
  return TestSocket(std::move(fd));
}

bool TestUpstream::HasConnection() const {
  pollfd waiting = {fd_.get(), POLLIN, 0};
  return poll(&waiting, 1, 0) == 1;
}

ReservedPort::ReservedPort() : fd_(NewSocket(AF_INET6)) {
  const int off = 0;
  const int on = 1;
  setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  const SocketAddress address = SocketAddress::FromIp("::", 0).value();
  if (bind(fd_.get(), address.sockaddr(), address.sockaddr_size()) != 0) Fail("bind");
  number_ = AddressOf(fd_.get()).port();
}

bool Eventually(const std::function<bool()>& predicate) {
  SystemClock clock;
  const absl::Duration deadline = clock.Monotonic() + absl::Seconds(kPatienceSeconds);
  while (!predicate()) {
    if (clock.Monotonic() > deadline) return false;
    poll(nullptr, 0, 1);
  }
  return true;
}

}  // namespace berth::edge::testing
