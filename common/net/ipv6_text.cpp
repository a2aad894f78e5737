#include "common/net/ipv6_text.h"

#include <arpa/inet.h>

#include "absl/strings/str_cat.h"

namespace berth {

std::string Ipv6Text(absl::string_view bytes) {
  char text[INET6_ADDRSTRLEN];
  if (bytes.size() != sizeof(in6_addr) ||
      inet_ntop(AF_INET6, bytes.data(), text, sizeof(text)) == nullptr) {
    return "";
  }
  return text;
}

std::string Ipv6NetworkText(absl::string_view bytes) {
  if (bytes.empty() || bytes.size() > sizeof(in6_addr)) return "";
  std::string address(bytes);
  address.resize(sizeof(in6_addr), '\0');
  return absl::StrCat(Ipv6Text(address), "/", bytes.size() * 8);
}

}  // namespace berth
