#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace berth {

inline constexpr size_t kBlake2b256Size = 32;
inline constexpr size_t kBlake2b128Size = 16;
// What a key of the keyed hashes may have.
inline constexpr size_t kHashKeySizeMin = 16;
inline constexpr size_t kHashKeySizeMax = 64;

// BLAKE2b over the parts one after another, as if they were one string: a caller whose parts can
// run into each other puts their sizes between them. The digest is raw bytes.
std::string Blake2b256(std::initializer_list<absl::string_view> parts);

// SHA-256, for formats of others. Raw bytes.
std::string Sha256(absl::string_view message);

// BLAKE2b under a key: only who has the key can compute or try out digests.
std::string KeyedBlake2b256(absl::string_view key, absl::string_view message);
std::string KeyedBlake2b128(absl::string_view key, absl::string_view message);

// Lower-case hex.
std::string HexEncode(absl::string_view bytes);

// nullopt: an odd number of digits, or a character that is no lower-case hex digit (one text per
// value, so that texts can be compared).
std::optional<std::string> HexDecode(absl::string_view text);

}  // namespace berth
