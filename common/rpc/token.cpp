#include "common/rpc/token.h"

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/crypto/hash.h"

namespace berth::rpc {
namespace {

// 32 bytes in lower-case hex: one text per value.
bool IsHex32(absl::string_view text) {
  if (text.size() != 2 * kTokenSecretSize) return false;
  for (const char c : text) {
    if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) return false;
  }
  return true;
}

}  // namespace

std::string FormatToken(uint64_t position, absl::string_view secret) {
  return absl::StrCat("berth_", position, "_", absl::BytesToHexString(secret));
}

std::optional<TokenParts> ParseToken(absl::string_view token) {
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '_');
  TokenParts parsed;
  if (parts.size() != 3 || parts[0] != "berth" || !absl::SimpleAtoi(parts[1], &parsed.position) ||
      !IsHex32(parts[2])) {
    return std::nullopt;
  }
  parsed.hash = TokenHash(absl::HexStringToBytes(parts[2]));
  return parsed;
}

std::string FormatOneTimeToken(absl::string_view purpose, absl::string_view ca_fingerprint,
                               absl::string_view secret) {
  return absl::StrCat("berth_", purpose, "_", ca_fingerprint, "_", absl::BytesToHexString(secret));
}

std::optional<OneTimeTokenParts> ParseOneTimeToken(absl::string_view purpose,
                                                   absl::string_view token) {
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '_');
  if (parts.size() != 4 || parts[0] != "berth" || parts[1] != purpose || !IsHex32(parts[2]) ||
      !IsHex32(parts[3])) {
    return std::nullopt;
  }
  return OneTimeTokenParts{std::string(parts[2]), TokenHash(absl::HexStringToBytes(parts[3]))};
}

std::string TokenHash(absl::string_view secret) { return Blake2b256({secret}); }

}  // namespace berth::rpc
