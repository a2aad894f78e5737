#include "common/manifest/hostname.h"

#include <arpa/inet.h>

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/yaml/findings.h"

namespace berth {
namespace {

constexpr size_t kHostnameBytesMax = 253;
constexpr size_t kLabelBytesMax = 63;

bool IsLabelCharacter(char c) {
  return absl::ascii_islower(static_cast<unsigned char>(c)) ||
         absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '-' || c == '_';
}

bool IsLabel(absl::string_view label) {
  return !label.empty() && label.size() <= kLabelBytesMax && label.front() != '-' &&
         label.back() != '-' && std::all_of(label.begin(), label.end(), IsLabelCharacter);
}

bool IsIpAddress(const std::string& text) {
  unsigned char address[sizeof(in6_addr)];
  return inet_pton(AF_INET, text.c_str(), address) == 1 ||
         inet_pton(AF_INET6, text.c_str(), address) == 1;
}

}  // namespace

absl::StatusOr<std::string> CanonicalHostname(absl::string_view text) {
  const auto refused = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(yaml::Quoted(text), " ", what));
  };
  std::string hostname = absl::AsciiStrToLower(absl::StripSuffix(text, "."));
  if (hostname.size() > kHostnameBytesMax) {
    return refused(absl::StrCat("is longer than ", kHostnameBytesMax, " bytes"));
  }
  const bool ascii = std::all_of(hostname.begin(), hostname.end(), absl::ascii_isascii);
  if (!ascii) return refused("is not ASCII; write the name's xn-- form");
  if (IsIpAddress(hostname)) return refused("is an IP address; TLS clients ask for names");

  std::vector<absl::string_view> labels = absl::StrSplit(hostname, '.');
  if (labels.size() > 1 && labels.front() == "*") labels.erase(labels.begin());
  if (!std::all_of(labels.begin(), labels.end(), IsLabel)) {
    if (absl::StrContains(hostname, '*')) return refused("is not a wildcard such as *.example.com");
    return refused("is not a host name");
  }
  // No domain is called so, and some resolvers read such names as IPv4 addresses.
  if (std::all_of(labels.back().begin(), labels.back().end(), absl::ascii_isdigit)) {
    return refused("ends in a number, as no host name does");
  }
  return hostname;
}

}  // namespace berth
