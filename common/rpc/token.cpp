#include "common/rpc/token.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/crypto/hash.h"

namespace berth::rpc {
namespace {

// nullopt: not 32 bytes in lower-case hex.
std::optional<std::string> DecodeHex32(absl::string_view text) {
  if (text.size() != 2 * kTokenSecretSize) return std::nullopt;
  return HexDecode(text);
}

}  // namespace

std::string FormatToken(uint64_t position, absl::string_view secret) {
  return absl::StrCat("berth_", position, "_", HexEncode(secret));
}

std::optional<TokenParts> ParseToken(absl::string_view token) {
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '_');
  TokenParts parsed;
  if (parts.size() != 3 || parts[0] != "berth" || !absl::SimpleAtoi(parts[1], &parsed.position)) {
    return std::nullopt;
  }
  const std::optional<std::string> secret = DecodeHex32(parts[2]);
  if (!secret) return std::nullopt;
  parsed.hash = TokenHash(*secret);
  return parsed;
}

std::string FormatOneTimeToken(absl::string_view purpose, absl::string_view ca_fingerprint,
                               absl::string_view secret) {
  return absl::StrCat("berth_", purpose, "_", ca_fingerprint, "_", HexEncode(secret));
}

std::optional<OneTimeTokenParts> ParseOneTimeToken(absl::string_view purpose,
                                                   absl::string_view token) {
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '_');
  if (parts.size() != 4 || parts[0] != "berth" || parts[1] != purpose || !DecodeHex32(parts[2])) {
    return std::nullopt;
  }
  const std::optional<std::string> secret = DecodeHex32(parts[3]);
  if (!secret) return std::nullopt;
  return OneTimeTokenParts{std::string(parts[2]), TokenHash(*secret)};
}

std::string TokenHash(absl::string_view secret) { return Blake2b256({secret}); }

}  // namespace berth::rpc
