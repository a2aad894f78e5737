#include "edge/packed_address.h"

#include <algorithm>
#include <cstring>

#include "absl/status/statusor.h"

namespace berth::edge {
namespace {

constexpr std::array<uint8_t, 12> kIpv4MappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

PackedAddress PackedAddress::From(const struct sockaddr& address) {
  PackedAddress packed;
  if (address.sa_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    std::copy(kIpv4MappedPrefix.begin(), kIpv4MappedPrefix.end(), packed.ip.begin());
    std::memcpy(packed.ip.data() + kIpv4MappedPrefix.size(), &in.sin_addr, sizeof(in.sin_addr));
    packed.port = ntohs(in.sin_port);
  } else if (address.sa_family == AF_INET6) {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address);
    std::memcpy(packed.ip.data(), &in6.sin6_addr, sizeof(in6.sin6_addr));
    packed.port = ntohs(in6.sin6_port);
  }
  return packed;
}

bool PackedAddress::IsIpv4() const {
  return std::equal(kIpv4MappedPrefix.begin(), kIpv4MappedPrefix.end(), ip.begin());
}

socklen_t PackedAddress::ToSockaddr(sockaddr_storage* storage) const {
  *storage = {};
  if (IsIpv4()) {
    auto* in = reinterpret_cast<sockaddr_in*>(storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    std::memcpy(&in->sin_addr, ipv4(), sizeof(in->sin_addr));
    return sizeof(*in);
  }
  auto* in6 = reinterpret_cast<sockaddr_in6*>(storage);
  in6->sin6_family = AF_INET6;
  in6->sin6_port = htons(port);
  std::memcpy(&in6->sin6_addr, ip.data(), ip.size());
  return sizeof(*in6);
}

std::string PackedAddress::ToString() const {
  sockaddr_storage storage;
  ToSockaddr(&storage);
  return SocketAddress::FromStorage(storage)->ToString();
}

}  // namespace berth::edge
