#include "edge/proxy_protocol.h"

#include <cstdint>

namespace berth::edge {
namespace {

constexpr absl::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr char kVersion2CommandProxy = '\x21';
constexpr char kTcpOverIpv4 = '\x11';
constexpr char kTcpOverIpv6 = '\x21';
constexpr char kAuthorityField = '\x02';

void AppendNumber16(std::string* out, size_t number) {
  out->push_back(static_cast<char>(number >> 8));
  out->push_back(static_cast<char>(number));
}

void AppendField(std::string* out, char type, absl::string_view value) {
  if (value.empty()) return;
  out->push_back(type);
  AppendNumber16(out, value.size());
  out->append(value.data(), value.size());
}

}  // namespace

std::string ProxyHeader(const ProxiedConnection& connection) {
  const bool is_ipv4 = connection.client.IsIpv4() && connection.destination.IsIpv4();
  std::string rest;
  for (const PackedAddress* address : {&connection.client, &connection.destination}) {
    const auto* ip = reinterpret_cast<const char*>(address->ip.data());
    const size_t skipped = is_ipv4 ? 12 : 0;
    rest.append(ip + skipped, address->ip.size() - skipped);
  }
  AppendNumber16(&rest, connection.client.port);
  AppendNumber16(&rest, connection.destination.port);
  AppendField(&rest, kAuthorityField, connection.server_name);
  AppendField(&rest, kProxyRouteIdField, connection.route_id);

  std::string header(kSignature);
  header.push_back(kVersion2CommandProxy);
  header.push_back(is_ipv4 ? kTcpOverIpv4 : kTcpOverIpv6);
  AppendNumber16(&header, rest.size());
  return header + rest;
}

}  // namespace berth::edge
