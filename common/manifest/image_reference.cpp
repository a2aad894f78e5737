#include "common/manifest/image_reference.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace berth {
namespace {

constexpr size_t kNameBytesMax = 255;
constexpr size_t kTagBytesMax = 128;
constexpr size_t kDigestHexBytes = 64;

bool IsAlphanumeric(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); }
bool IsLower(char c) { return IsAlphanumeric(c) && c == absl::ascii_tolower(c); }

bool IsHost(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  const auto& [host, port] = parts;
  const bool has_port = host.size() < text.size();
  return !host.empty() && IsAlphanumeric(host.front()) && IsAlphanumeric(host.back()) &&
         std::all_of(host.begin(), host.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '.' || c == '-'; }) &&
         has_port == !port.empty() && port.size() <= 5 &&
         std::all_of(port.begin(), port.end(), absl::ascii_isdigit);
}

bool IsPathComponent(absl::string_view text) {
  return !text.empty() && IsLower(text.front()) && IsLower(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsLower(c) || c == '.' || c == '_' || c == '-'; });
}

bool IsTag(absl::string_view text) {
  return !text.empty() && text.size() <= kTagBytesMax && text[0] != '.' && text[0] != '-' &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

bool IsDigest(absl::string_view text) {
  return absl::ConsumePrefix(&text, "sha256:") && text.size() == kDigestHexBytes &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

bool IsImageReference(absl::string_view text) {
  const size_t at = text.find('@');
  if (at != absl::string_view::npos) {
    if (!IsDigest(text.substr(at + 1))) return false;
    text = text.substr(0, at);
  }
  // A colon before the last slash belongs to the host's port.
  const size_t slash = text.rfind('/');
  const size_t colon = text.rfind(':');
  if (colon != absl::string_view::npos && (slash == absl::string_view::npos || colon > slash)) {
    if (!IsTag(text.substr(colon + 1))) return false;
    text = text.substr(0, colon);
  }
  if (text.size() > kNameBytesMax) return false;
  std::vector<absl::string_view> components = absl::StrSplit(text, '/');
  if (components.size() > 1 && IsHost(components.front())) components.erase(components.begin());
  return std::all_of(components.begin(), components.end(), IsPathComponent);
}

}  // namespace berth
