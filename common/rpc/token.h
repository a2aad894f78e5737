#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace berth::rpc {

// The bearer tokens of people: berth_POSITION_SECRET, where POSITION is the place in auth's log
// that the token exists from, in decimal, and SECRET is 32 bytes in lower-case hex. Only the hash
// of SECRET is stored anywhere.
inline constexpr size_t kTokenSecretSize = 32;

struct TokenParts {
  uint64_t position = 0;
  std::string hash;  // BLAKE2b-256 of the secret bytes, 32 bytes.
};

std::string FormatToken(uint64_t position, absl::string_view secret);

// nullopt: not of this form.
std::optional<TokenParts> ParseToken(absl::string_view token);

// What signs in or joins, once: berth_PURPOSE_CA_SECRET, where CA is the platform CA's fingerprint
// (common/crypto/certificates.h), by which a machine that has nothing else knows whom to trust.
inline constexpr char kLoginPurpose[] = "login";
inline constexpr char kJoinPurpose[] = "join";

struct OneTimeTokenParts {
  std::string ca_fingerprint;  // 64 digits of lower-case hex.
  std::string hash;            // As of a bearer token.
};

std::string FormatOneTimeToken(absl::string_view purpose, absl::string_view ca_fingerprint,
                               absl::string_view secret);

// nullopt: not of this form, or for another purpose.
std::optional<OneTimeTokenParts> ParseOneTimeToken(absl::string_view purpose,
                                                   absl::string_view token);

// The hash that is stored for a token's secret part.
std::string TokenHash(absl::string_view secret);

}  // namespace berth::rpc
