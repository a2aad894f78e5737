// What any broadcaster costs at least: the same bytes, written to every connection by send(2), and
// epoll(7) for those that cannot take them now. No TLS, no HTTP/2, nothing is stored.
//
// Usage: null_broadcaster CONNECTIONS MESSAGES BYTES. Prints its port, serves so many connections,
// and prints the seconds of processor time that the messages took.

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/net/unique_fd.h"

namespace berth::bench {
namespace {

void MustBe(bool so, const char* what) {
  if (!so) throw std::runtime_error(what);
}

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Sends all of the bytes; waits where the connection's buffer is full.
void SendAll(int epoll, int connection, const std::string& bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t taken =
        send(connection, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (taken > 0) {
      sent += static_cast<size_t>(taken);
      continue;
    }
    MustBe(errno == EAGAIN, "a connection ended");
    epoll_event event = {};
    event.events = EPOLLOUT;
    event.data.fd = connection;
    epoll_ctl(epoll, EPOLL_CTL_ADD, connection, &event);
    epoll_wait(epoll, &event, 1, -1);
    epoll_ctl(epoll, EPOLL_CTL_DEL, connection, nullptr);
  }
}

void Broadcast(int count, int messages, size_t size) {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  MustBe(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) == 0 &&
             listen(listener.get(), SOMAXCONN) == 0 &&
             getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0,
         "cannot listen");
  std::cout << ntohs(address.sin_port) << std::endl;
  std::vector<UniqueFd> connections;
  for (int i = 0; i < count; ++i) {
    connections.emplace_back(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    MustBe(connections.back().get() >= 0, "cannot accept");
  }
  const UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  const std::string bytes(size, 'x');
  const double before = CpuSeconds();
  for (int i = 0; i < messages; ++i) {
    for (const UniqueFd& connection : connections) SendAll(epoll.get(), connection.get(), bytes);
  }
  std::cout << CpuSeconds() - before << std::endl;
}

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: null_broadcaster CONNECTIONS MESSAGES BYTES\n";
    return 2;
  }
  try {
    berth::bench::Broadcast(std::atoi(argv[1]), std::atoi(argv[2]),
                            static_cast<size_t>(std::atoi(argv[3])));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
