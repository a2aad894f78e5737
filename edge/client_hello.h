#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"

namespace berth::edge {

// Reads the server name out of the first bytes of a TLS connection, without opening it.
//
// A ClientHello may be spread over several TLS records and arrive in any number of pieces; the
// caller keeps what has arrived and asks again with all of it. A verdict other than NeedMoreBytes
// is final: more bytes never change it. Pure.

// The longest ClientHello message that is reassembled, its four header bytes included.
inline constexpr size_t kHelloBytesMax = 64 << 10;

// The most TLS records one ClientHello may be spread over. Clients send one or two; the limit
// bounds the work of asking again for every piece that arrives.
inline constexpr size_t kHelloRecordsMax = 64;

// More bytes than this are never needed for a final verdict: a whole hello with its record headers.
inline constexpr size_t kHelloWireBytesMax = kHelloBytesMax + 5 * kHelloRecordsMax;

// So far the bytes are the beginning of a ClientHello, or could be.
struct NeedMoreBytes {
  bool operator==(const NeedMoreBytes&) const = default;
};

// A whole, well-formed ClientHello.
struct ServerName {
  // Lower case, without a final dot; nullopt where the client names no server.
  std::optional<std::string> hostname;
  // The application protocols that the client offers, in its order, as raw bytes.
  std::vector<std::string> alpn;

  bool operator==(const ServerName&) const = default;
};

// The bytes are another protocol's.
struct NotTls {
  bool operator==(const NotTls&) const = default;
};

// TLS, but not a ClientHello that RFC 8446 and RFC 6066 allow.
struct MalformedHello {
  // What is wrong, in a few words; lives for ever.
  absl::string_view reason;

  bool operator==(const MalformedHello&) const = default;
};

// More than kHelloBytesMax bytes, or more than kHelloRecordsMax records.
struct HelloTooLarge {
  bool operator==(const HelloTooLarge&) const = default;
};

using HelloVerdict = std::variant<NeedMoreBytes, ServerName, NotTls, MalformedHello, HelloTooLarge>;

// What the first `bytes` of a connection say.
HelloVerdict ReadClientHello(absl::string_view bytes);

}  // namespace berth::edge
