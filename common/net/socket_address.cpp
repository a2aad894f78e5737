#include "common/net/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

// A host name has at most 253 characters, brackets and a port some more.
constexpr size_t kTextSizeMax = 300;

absl::Status Wrong(absl::string_view text, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("address \"", absl::CHexEscape(text.substr(0, kTextSizeMax)), "\": ", what));
}

bool IsHostCharacter(char c) {
  return absl::ascii_isgraph(c) && c != '[' && c != ']' && c != '/' && c != '@';
}

// Decimal digits only: a sign or blanks are typing errors here, though SimpleAtoi takes them.
bool ParsePort(absl::string_view text, uint16_t* port) {
  if (text.empty() || text.size() > 5) return false;
  for (const char c : text) {
    if (!absl::ascii_isdigit(c)) return false;
  }
  uint32_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || number > UINT16_MAX) return false;
  *port = static_cast<uint16_t>(number);
  return true;
}

}  // namespace

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  if (text.size() > kTextSizeMax) return Wrong(text, "too long");
  absl::string_view host;
  absl::string_view after_host;
  if (!text.empty() && text[0] == '[') {
    const size_t end = text.find(']');
    if (end == absl::string_view::npos) return Wrong(text, "the '[' is not closed");
    host = text.substr(1, end - 1);
    after_host = text.substr(end + 1);
    if (host.find(':') == absl::string_view::npos) {
      return Wrong(text, "only an IPv6 address stands in brackets");
    }
  } else {
    const size_t colon = text.find(':');
    if (colon != absl::string_view::npos && text.find(':', colon + 1) != absl::string_view::npos) {
      return Wrong(text, "an IPv6 address stands in brackets before its port, as in [::1]:443");
    }
    host = text.substr(0, colon);
    after_host = colon == absl::string_view::npos ? "" : text.substr(colon);
  }
  for (const char c : host) {
    if (!IsHostCharacter(c)) return Wrong(text, "the host holds a character no host has");
  }
  if (after_host.empty()) return Wrong(text, "the port is missing, as in host:443");
  if (after_host[0] != ':') return Wrong(text, "after ']' comes ':' and the port");
  HostPort parsed{std::string(host), 0};
  if (!ParsePort(after_host.substr(1), &parsed.port)) {
    return Wrong(text, "the port is not a number from 0 to 65535");
  }
  return parsed;
}

absl::StatusOr<std::vector<HostPort>> ParseHostPorts(absl::string_view text) {
  std::vector<HostPort> all;
  for (const absl::string_view one : absl::StrSplit(text, ',')) {
    BERTH_ASSIGN_OR_RETURN(all.emplace_back(), ParseHostPort(one));
  }
  return all;
}

std::string FormatHostPort(const HostPort& host_port) {
  if (host_port.host.find(':') == std::string::npos) {
    return absl::StrCat(host_port.host, ":", host_port.port);
  }
  return absl::StrCat("[", host_port.host, "]:", host_port.port);
}

absl::StatusOr<SocketAddress> SocketAddress::Parse(absl::string_view text) {
  BERTH_ASSIGN_OR_RETURN(const HostPort parsed, ParseHostPort(text));
  return FromIp(parsed.host, parsed.port);
}

absl::StatusOr<SocketAddress> SocketAddress::FromIp(absl::string_view ip, uint16_t port) {
  // inet_pton stops at a NUL byte, so that what follows one would go unseen.
  if (ip.find('\0') != absl::string_view::npos) return Wrong(ip, "holds a NUL byte");
  const std::string terminated(ip);
  SocketAddress address;
  in_addr v4;
  in6_addr v6;
  if (inet_pton(AF_INET, terminated.c_str(), &v4) == 1) {
    auto* in = reinterpret_cast<sockaddr_in*>(&address.storage_);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    in->sin_addr = v4;
    return address;
  }
  if (inet_pton(AF_INET6, terminated.c_str(), &v6) == 1) {
    auto* in6 = reinterpret_cast<sockaddr_in6*>(&address.storage_);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    in6->sin6_addr = v6;
    return address;
  }
  return Wrong(ip, "not an IPv4 or IPv6 address");
}

absl::StatusOr<SocketAddress> SocketAddress::FromStorage(const sockaddr_storage& storage) {
  if (storage.ss_family != AF_INET && storage.ss_family != AF_INET6) {
    return absl::InvalidArgumentError(
        absl::StrCat("address family ", storage.ss_family, " is neither IPv4 nor IPv6"));
  }
  SocketAddress address;
  address.storage_ = storage;
  return address;
}

uint16_t SocketAddress::port() const {
  if (family() == AF_INET) {
    return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
  }
  return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port);
}

std::string SocketAddress::ip() const {
  char text[INET6_ADDRSTRLEN] = {};
  const void* bytes = &reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr;
  if (family() == AF_INET) bytes = &reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr;
  inet_ntop(family(), bytes, text, sizeof(text));
  return text;
}

socklen_t SocketAddress::sockaddr_size() const {
  return family() == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
}

std::string SocketAddress::ToString() const { return FormatHostPort({ip(), port()}); }

bool SocketAddress::operator==(const SocketAddress& other) const {
  // Padding and scope are not part of the value, so memcmp over the storage would be wrong.
  return family() == other.family() && port() == other.port() && ip() == other.ip();
}

}  // namespace berth
