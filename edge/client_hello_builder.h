#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "edge/client_hello.h"

namespace berth::edge::testing {

// What a ClientHello is made of. Sizes that the builder writes are right unless a field says
// otherwise.
struct HelloFields {
  uint16_t version = 0x0303;
  std::string session_id = std::string(32, 's');
  std::string cipher_suites = std::string("\x13\x01\x13\x02", 4);
  std::string compression_methods = std::string(1, '\0');
  // Type and content, in order; nullopt leaves the whole block out.
  std::optional<std::vector<std::pair<uint16_t, std::string>>> extensions =
      std::vector<std::pair<uint16_t, std::string>>();
};

// The content of a server_name extension with one host name.
std::string ServerNameExtension(const std::string& hostname);

// The content of an ALPN extension.
std::string AlpnExtension(const std::vector<std::string>& protocols);

// A handshake message: the type, three bytes of size, the body.
std::string HelloMessage(const HelloFields& fields);

// `message` in TLS records of at most `payload_size` bytes each.
std::string InRecords(const std::string& message, size_t payload_size = 16 << 10);

// An ordinary hello in one record that asks for `hostname`.
std::string HelloFor(const std::string& hostname);

// The corpus: every named input stands in testdata/client_hello with the same bytes, or comes from
// a real client and is read from there.
struct NamedHello {
  std::string name;
  std::string bytes;
  HelloVerdict verdict;
};
std::vector<NamedHello> NamedHellos();

}  // namespace berth::edge::testing
