#include "common/rpc/token.h"

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/crypto/hash.h"

namespace berth::rpc {

std::string FormatToken(uint64_t position, absl::string_view secret) {
  return absl::StrCat("berth_", position, "_", absl::BytesToHexString(secret));
}

std::optional<TokenParts> ParseToken(absl::string_view token) {
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '_');
  TokenParts parsed;
  if (parts.size() != 3 || parts[0] != "berth" || !absl::SimpleAtoi(parts[1], &parsed.position) ||
      parts[2].size() != 2 * kTokenSecretSize) {
    return std::nullopt;
  }
  for (const char c : parts[2]) {
    if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) return std::nullopt;
  }
  parsed.hash = TokenHash(absl::HexStringToBytes(parts[2]));
  return parsed;
}

std::string TokenHash(absl::string_view secret) { return Blake2b256({secret}); }

}  // namespace berth::rpc
