#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>

#include "common/net/socket_address.h"

namespace berth::edge {

// An IP address with a port in 18 bytes: a SocketAddress takes seven times as much, and a route
// table holds very many. An IPv4 address and its IPv4-mapped IPv6 form are the same value, because
// a dual-stack listener sees IPv4 clients in the mapped form.
struct PackedAddress {
  std::array<uint8_t, 16> ip = {};  // Network byte order; IPv4 as ::ffff:a.b.c.d.
  uint16_t port = 0;                // Host byte order.

  static PackedAddress From(const SocketAddress& address) { return From(*address.sockaddr()); }

  // The address in front of which `address` stands is AF_INET or AF_INET6; anything else gives ::.
  static PackedAddress From(const sockaddr& address);

  bool IsIpv4() const;

  // The four bytes of an IPv4 address.
  const uint8_t* ipv4() const { return ip.data() + 12; }

  // Fills in what connect(2) takes and returns its size: AF_INET for IPv4, else AF_INET6.
  socklen_t ToSockaddr(sockaddr_storage* storage) const;

  // What SocketAddress::Parse takes.
  std::string ToString() const;

  bool operator==(const PackedAddress&) const = default;

  template <typename H>
  friend H AbslHashValue(H hash, const PackedAddress& address) {
    return H::combine(std::move(hash), address.ip, address.port);
  }
};

}  // namespace berth::edge
