#include "edge/hostname.h"

#include "absl/strings/ascii.h"

namespace berth::edge {
namespace {

constexpr size_t kHostnameSizeMax = 253;
constexpr size_t kLabelSizeMax = 63;

}  // namespace

std::optional<std::string> NormaliseHostname(absl::string_view name) {
  if (!name.empty() && name.back() == '.') name.remove_suffix(1);
  if (name.empty() || name.size() > kHostnameSizeMax) return std::nullopt;
  std::string hostname(name.size(), '\0');
  size_t label_size = 0;
  bool label_is_number = true;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = absl::ascii_tolower(name[i]);
    hostname[i] = c;
    if (c == '.') {
      if (label_size == 0) return std::nullopt;
      label_size = 0;
      label_is_number = true;
      continue;
    }
    if (!absl::ascii_isalnum(c) && c != '-' && c != '_') return std::nullopt;
    if (++label_size > kLabelSizeMax) return std::nullopt;
    label_is_number = label_is_number && absl::ascii_isdigit(c);
  }
  // No top-level domain is a number, so a name that ends in one is an IPv4 address or a mistyped
  // one.
  if (label_size == 0 || label_is_number) return std::nullopt;
  return hostname;
}

}  // namespace berth::edge
