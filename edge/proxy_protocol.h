#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "edge/packed_address.h"

namespace berth::edge {

// What an upstream is told about a connection before the connection's own bytes.
struct ProxiedConnection {
  PackedAddress client;           // The client's end.
  PackedAddress destination;      // The edge's end of the client's connection.
  absl::string_view server_name;  // At most 253 bytes; empty where the client named none.
  absl::string_view route_id;     // At most 255 bytes; empty is left out.
};

// The type of the field that carries the route's id, from the range kept for private use.
inline constexpr char kProxyRouteIdField = '\xe0';

// The header of PROXY protocol version 2, command PROXY, for a TCP connection; the server name goes
// into the field PP2_TYPE_AUTHORITY. IPv4 on both ends is written as IPv4. Pure.
std::string ProxyHeader(const ProxiedConnection& connection);

}  // namespace berth::edge
