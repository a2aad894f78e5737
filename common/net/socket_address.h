#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// A place to connect to as a person writes it: "host:port" or "[IPv6]:port". The host may be a
// name; nothing here resolves it.
struct HostPort {
  std::string host;  // Without brackets; empty where the text began with ':' ("every address").
  uint16_t port = 0;

  bool operator==(const HostPort&) const = default;
};

// kInvalidArgument: the message quotes the text and says what is wrong with it.
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);

// Several of them, with commas between: where the copies of one service are. At least one.
absl::StatusOr<std::vector<HostPort>> ParseHostPorts(absl::string_view text);

// The inverse of ParseHostPort: brackets around a host that holds a colon.
std::string FormatHostPort(const HostPort& host_port);

// An IPv4 or IPv6 address with a port, as the socket calls take it. A value.
class SocketAddress {
 public:
  // "192.0.2.1:443" or "[2001:db8::1]:443". kInvalidArgument: not of this form, a name included.
  static absl::StatusOr<SocketAddress> Parse(absl::string_view text);

  // `ip` without brackets. A zone ("fe80::1%eth0") is refused: it means nothing on another machine.
  static absl::StatusOr<SocketAddress> FromIp(absl::string_view ip, uint16_t port);

  // What accept(2), getsockname(2) and their like filled in. kInvalidArgument: another family.
  static absl::StatusOr<SocketAddress> FromStorage(const sockaddr_storage& storage);

  // AF_INET or AF_INET6.
  int family() const { return storage_.ss_family; }
  uint16_t port() const;
  // Canonical text of the address, without brackets.
  std::string ip() const;

  const struct sockaddr* sockaddr() const {
    return reinterpret_cast<const struct sockaddr*>(&storage_);
  }
  socklen_t sockaddr_size() const;

  // What Parse takes.
  std::string ToString() const;

  bool operator==(const SocketAddress& other) const;

 private:
  SocketAddress() = default;

  sockaddr_storage storage_ = {};
};

}  // namespace berth
