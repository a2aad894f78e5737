#include "edge/client_hello.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "edge/byte_reader.h"
#include "edge/hostname.h"

namespace berth::edge {
namespace {

constexpr size_t kRecordHeaderSize = 5;
constexpr size_t kRecordPayloadMax = 16 << 10;
constexpr size_t kMessageHeaderSize = 4;

constexpr uint8_t kChangeCipherSpecRecord = 20;
constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kApplicationDataRecord = 23;
constexpr uint8_t kClientHelloMessage = 1;
constexpr uint16_t kServerNameExtension = 0;
constexpr uint16_t kAlpnExtension = 16;
constexpr uint8_t kHostNameType = 0;

constexpr size_t kSessionIdSizeMax = 32;
// Clients send some twenty. The limit bounds the search for duplicates.
constexpr size_t kExtensionsMax = 256;

uint8_t ByteAt(absl::string_view bytes, size_t index) { return static_cast<uint8_t>(bytes[index]); }

// Decides, as early as the bytes allow, whether they are TLS at all; nullopt if they are.
std::optional<HelloVerdict> CheckFirstBytes(absl::string_view bytes) {
  if (bytes.empty()) return NeedMoreBytes();
  const uint8_t first = ByteAt(bytes, 0);
  if (first & 0x80) {
    // A version 2 hello: a two-byte length with the high bit set, type 1, version 0.2 or 3.x.
    if (bytes.size() < 3) return NeedMoreBytes();
    if (ByteAt(bytes, 2) != kClientHelloMessage) return NotTls();
    if (bytes.size() < 5) return NeedMoreBytes();
    const bool is_version_2 = ByteAt(bytes, 3) == 0 && ByteAt(bytes, 4) == 2;
    if (ByteAt(bytes, 3) != 3 && !is_version_2) return NotTls();
    return MalformedHello{"an SSL version 2 hello"};
  }
  if (first < kChangeCipherSpecRecord || first > kApplicationDataRecord) return NotTls();
  if (bytes.size() < 2) return NeedMoreBytes();
  if (ByteAt(bytes, 1) != 3) return NotTls();
  if (first != kHandshakeRecord) return MalformedHello{"the first record is not a handshake"};
  return std::nullopt;
}

// Reads the list of server names; true if it is well-formed.
bool ReadServerNames(absl::string_view extension, std::optional<std::string>* hostname) {
  ByteReader reader(extension);
  ByteReader names(reader.TakeVector(2));
  if (reader.failed() || !reader.empty() || names.empty()) return false;
  while (!names.empty()) {
    const uint32_t type = names.TakeNumber(1);
    const absl::string_view name = names.TakeVector(2);
    if (names.failed() || name.empty()) return false;
    if (type != kHostNameType) continue;
    if (hostname->has_value()) return false;
    *hostname = NormaliseHostname(name);
    if (!hostname->has_value()) return false;
  }
  return true;
}

// Reads the list of application protocols; true if it is well-formed.
bool ReadAlpn(absl::string_view extension, std::vector<std::string>* alpn) {
  ByteReader reader(extension);
  ByteReader protocols(reader.TakeVector(2));
  if (reader.failed() || !reader.empty() || protocols.empty()) return false;
  while (!protocols.empty()) {
    const absl::string_view protocol = protocols.TakeVector(1);
    if (protocols.failed() || protocol.empty()) return false;
    alpn->emplace_back(protocol);
  }
  return true;
}

HelloVerdict ReadExtensions(absl::string_view bytes) {
  ServerName name;
  ByteReader extensions(bytes);
  std::array<uint16_t, kExtensionsMax> seen;
  size_t seen_count = 0;
  while (!extensions.empty()) {
    const auto type = static_cast<uint16_t>(extensions.TakeNumber(2));
    const absl::string_view extension = extensions.TakeVector(2);
    if (extensions.failed()) return MalformedHello{"an extension is cut off"};
    if (seen_count == kExtensionsMax) return MalformedHello{"too many extensions"};
    if (std::find(seen.begin(), seen.begin() + seen_count, type) != seen.begin() + seen_count) {
      return MalformedHello{"an extension stands twice"};
    }
    seen[seen_count++] = type;
    if (type == kServerNameExtension && !ReadServerNames(extension, &name.hostname)) {
      return MalformedHello{"the server name is not a host name"};
    }
    if (type == kAlpnExtension && !ReadAlpn(extension, &name.alpn)) {
      return MalformedHello{"the list of application protocols is malformed"};
    }
  }
  return name;
}

// Reads a whole ClientHello message, without its header.
HelloVerdict ReadBody(absl::string_view body) {
  ByteReader reader(body);
  const uint32_t version = reader.TakeNumber(2);
  reader.Take(32);  // The client's random bytes.
  const absl::string_view session_id = reader.TakeVector(1);
  const absl::string_view cipher_suites = reader.TakeVector(2);
  const absl::string_view compression_methods = reader.TakeVector(1);
  if (reader.failed()) return MalformedHello{"the message is cut off"};
  if (version >> 8 != 3) return MalformedHello{"an unknown version"};
  if (session_id.size() > kSessionIdSizeMax) return MalformedHello{"the session id is too long"};
  if (cipher_suites.empty() || cipher_suites.size() % 2 != 0) {
    return MalformedHello{"the list of cipher suites is malformed"};
  }
  if (compression_methods.empty()) return MalformedHello{"no compression method"};
  // Before TLS 1.3 a hello may end here.
  if (reader.empty()) return ServerName();
  const absl::string_view extensions = reader.TakeVector(2);
  if (reader.failed() || !reader.empty()) {
    return MalformedHello{"the extensions do not fill the message"};
  }
  return ReadExtensions(extensions);
}

// Looks at the beginning of the handshake message. NeedMoreBytes where it is not complete; a final
// verdict otherwise.
HelloVerdict ReadMessage(absl::string_view message) {
  if (!message.empty() && ByteAt(message, 0) != kClientHelloMessage) {
    return MalformedHello{"the first message is not a ClientHello"};
  }
  if (message.size() < kMessageHeaderSize) return NeedMoreBytes();
  ByteReader header(message.substr(1));
  const size_t body_size = header.TakeNumber(3);
  if (kMessageHeaderSize + body_size > kHelloBytesMax) return HelloTooLarge();
  if (message.size() < kMessageHeaderSize + body_size) return NeedMoreBytes();
  // Other messages may follow in the same record; they are not ours to judge.
  return ReadBody(message.substr(kMessageHeaderSize, body_size));
}

// Takes the payload of the next record, or of as much of it as is there, off `bytes`.
// NeedMoreBytes: `payload` is set; anything else is final.
HelloVerdict TakeRecord(absl::string_view* bytes, absl::string_view* payload) {
  const absl::string_view header = bytes->substr(0, kRecordHeaderSize);
  *payload = {};
  if (!header.empty() && ByteAt(header, 0) != kHandshakeRecord) {
    return MalformedHello{"another record stands within the handshake"};
  }
  if (header.size() > 1 && ByteAt(header, 1) != 3) return MalformedHello{"an unknown version"};
  if (header.size() > 2 && ByteAt(header, 2) > 4) return MalformedHello{"an unknown version"};
  bytes->remove_prefix(header.size());
  if (header.size() < kRecordHeaderSize) return NeedMoreBytes();
  const size_t size = ByteReader(header.substr(3)).TakeNumber(2);
  if (size == 0) return MalformedHello{"an empty record"};
  if (size > kRecordPayloadMax) return MalformedHello{"a record is too long"};
  *payload = bytes->substr(0, size);
  bytes->remove_prefix(payload->size());
  return NeedMoreBytes();
}

}  // namespace

HelloVerdict ReadClientHello(absl::string_view bytes) {
  if (std::optional<HelloVerdict> verdict = CheckFirstBytes(bytes); verdict.has_value()) {
    return *std::move(verdict);
  }
  // The message in one piece: a view of the first record's payload, or a copy of all payloads once
  // there is a second record.
  absl::string_view message;
  std::string reassembled;
  for (size_t records = 0; !bytes.empty(); ++records) {
    if (records == kHelloRecordsMax) return HelloTooLarge();
    absl::string_view payload;
    if (HelloVerdict verdict = TakeRecord(&bytes, &payload);
        !std::holds_alternative<NeedMoreBytes>(verdict)) {
      return verdict;
    }
    if (records == 0) {
      message = payload;
    } else {
      if (records == 1) reassembled = std::string(message);
      reassembled.append(payload.data(), payload.size());
      message = reassembled;
    }
    if (HelloVerdict verdict = ReadMessage(message);
        !std::holds_alternative<NeedMoreBytes>(verdict)) {
      return verdict;
    }
  }
  return NeedMoreBytes();
}

}  // namespace berth::edge
