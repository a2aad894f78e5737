#include "edge/client_hello_builder.h"

#include <algorithm>

namespace berth::edge::testing {
namespace {

std::string Number(size_t number, size_t bytes) {
  std::string text;
  while (bytes-- > 0) text.push_back(static_cast<char>(number >> (8 * bytes)));
  return text;
}

std::string Vector(const std::string& content, size_t size_bytes) {
  return Number(content.size(), size_bytes) + content;
}

std::string HelloWith(std::vector<std::pair<uint16_t, std::string>> extensions) {
  HelloFields fields;
  fields.extensions = std::move(extensions);
  return HelloMessage(fields);
}

ServerName Named(const std::string& hostname) { return ServerName{hostname, {}}; }

}  // namespace

std::string ServerNameExtension(const std::string& hostname) {
  return Vector(Number(0, 1) + Vector(hostname, 2), 2);
}

std::string AlpnExtension(const std::vector<std::string>& protocols) {
  std::string list;
  for (const std::string& protocol : protocols) list += Vector(protocol, 1);
  return Vector(list, 2);
}

std::string HelloMessage(const HelloFields& fields) {
  std::string body = Number(fields.version, 2) + std::string(32, 'r') +
                     Vector(fields.session_id, 1) + Vector(fields.cipher_suites, 2) +
                     Vector(fields.compression_methods, 1);
  if (fields.extensions.has_value()) {
    std::string extensions;
    for (const auto& [type, content] : *fields.extensions) {
      extensions += Number(type, 2) + Vector(content, 2);
    }
    body += Vector(extensions, 2);
  }
  return Number(1, 1) + Vector(body, 3);
}

std::string InRecords(const std::string& message, size_t payload_size) {
  std::string records;
  for (size_t begin = 0; begin < message.size(); begin += payload_size) {
    records += Number(22, 1) + Number(0x0301, 2) + Vector(message.substr(begin, payload_size), 2);
  }
  return records;
}

std::string HelloFor(const std::string& hostname) {
  return InRecords(HelloWith({{0, ServerNameExtension(hostname)}}));
}

std::vector<NamedHello> NamedHellos() {
  const std::string name = "shop.example.com";
  const std::pair<uint16_t, std::string> server_name = {0, ServerNameExtension(name)};
  const std::string plain = HelloWith({server_name});
  HelloFields no_extensions;
  no_extensions.extensions.reset();
  HelloFields odd_ciphers;
  odd_ciphers.cipher_suites = "abc";
  HelloFields no_compression;
  no_compression.compression_methods = "";
  HelloFields long_session;
  long_session.session_id = std::string(33, 's');
  HelloFields version_2;
  version_2.version = 0x0200;
  std::vector<std::pair<uint16_t, std::string>> many_extensions(300);
  for (uint16_t i = 0; i < 300; ++i) many_extensions[i].first = 1000 + i;
  // The key share of a hybrid post-quantum exchange makes the hello longer than a packet.
  const std::string post_quantum = HelloWith({{51, std::string(1216, 'k')}, server_name});
  std::string cut_off_body = plain;
  cut_off_body[3] = static_cast<char>(cut_off_body[3] - 1);
  std::string server_hello = plain;
  server_hello[0] = 2;
  std::string alert_within = InRecords(plain, 50);
  alert_within[55] = 21;
  const std::string two_names =
      Vector(Number(0, 1) + Vector("a.example", 2) + Number(0, 1) + Vector("b.example", 2), 2);
  const std::string other_type_first =
      Vector(Number(7, 1) + Vector("opaque", 2) + Number(0, 1) + Vector(name, 2), 2);

  const MalformedHello bad_name{"the server name is not a host name"};
  const MalformedHello bad_alpn{"the list of application protocols is malformed"};
  return {
      {"empty", "", NeedMoreBytes()},
      {"one_byte", "\x16", NeedMoreBytes()},
      {"half_a_hello", InRecords(plain).substr(0, 60), NeedMoreBytes()},
      {"server_name", InRecords(plain), Named(name)},
      {"capitals_and_final_dot", HelloFor("Shop.EXAMPLE.com."), Named(name)},
      {"alpn", InRecords(HelloWith({{16, AlpnExtension({"h2", "acme-tls/1"})}, server_name})),
       ServerName{name, {"h2", "acme-tls/1"}}},
      {"no_server_name", InRecords(HelloWith({{43, "xx"}})), ServerName()},
      {"no_extensions", InRecords(HelloMessage(no_extensions)), ServerName()},
      {"another_name_type_first", InRecords(HelloWith({{0, other_type_first}})), Named(name)},
      {"post_quantum_in_two_records", InRecords(post_quantum, 700), Named(name)},
      {"records_of_two_bytes", InRecords(plain.substr(0, 4) + plain.substr(4), 2), Named(name)},
      {"early_data_after_the_hello",
       InRecords(plain) + std::string("\x17\x03\x03\x00\x03"
                                      "abc",
                                      8),
       Named(name)},
      {"another_message_in_the_record", InRecords(plain + "another message"), Named(name)},
      {"http", "GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n", NotTls()},
      {"postgres_ssl_request", std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8), NotTls()},
      {"ssh", "SSH-2.0-OpenSSH_9.2\r\n", NotTls()},
      {"handshake_byte_by_chance", "\x16 and so on", NotTls()},
      {"high_bit_by_chance", "\x80\x2e\x05\x06", NotTls()},
      {"ssl_version_2", std::string("\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10", 11),
       MalformedHello{"an SSL version 2 hello"}},
      {"alert_first", std::string("\x15\x03\x03\x00\x02\x02\x28", 7),
       MalformedHello{"the first record is not a handshake"}},
      {"alert_within", alert_within, MalformedHello{"another record stands within the handshake"}},
      {"record_version_3_9", std::string("\x16\x03\x09\x00\x05", 5),
       MalformedHello{"an unknown version"}},
      {"empty_record", std::string("\x16\x03\x01\x00\x00", 5), MalformedHello{"an empty record"}},
      {"record_over_16_KiB", std::string("\x16\x03\x01\x40\x01", 5),
       MalformedHello{"a record is too long"}},
      {"server_hello", InRecords(server_hello),
       MalformedHello{"the first message is not a ClientHello"}},
      {"version_2_0", InRecords(HelloMessage(version_2)), MalformedHello{"an unknown version"}},
      {"long_session_id", InRecords(HelloMessage(long_session)),
       MalformedHello{"the session id is too long"}},
      {"odd_cipher_suites", InRecords(HelloMessage(odd_ciphers)),
       MalformedHello{"the list of cipher suites is malformed"}},
      {"no_compression_method", InRecords(HelloMessage(no_compression)),
       MalformedHello{"no compression method"}},
      {"cut_off_body", InRecords(cut_off_body),
       MalformedHello{"the extensions do not fill the message"}},
      {"tiny_body", InRecords(std::string("\x01\0\0\x02\x03\x03", 6)),
       MalformedHello{"the message is cut off"}},
      {"extension_twice", InRecords(HelloWith({server_name, {43, ""}, server_name})),
       MalformedHello{"an extension stands twice"}},
      {"300_extensions", InRecords(HelloWith(many_extensions)),
       MalformedHello{"too many extensions"}},
      {"two_host_names", InRecords(HelloWith({{0, two_names}})), bad_name},
      {"empty_server_name_list", InRecords(HelloWith({{0, Number(0, 2)}})), bad_name},
      {"server_name_longer_than_its_list", InRecords(HelloWith({{0, Number(9, 2)}})), bad_name},
      {"nul_in_name", HelloFor(std::string("shop\0.example", 13)), bad_name},
      {"ipv4_as_name", HelloFor("192.0.2.1"), bad_name},
      {"ipv6_as_name", HelloFor("2001:db8::1"), bad_name},
      {"name_of_254_bytes",
       HelloFor(std::string(61, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') +
                "." + std::string(63, 'd') + ".e"),
       bad_name},
      {"empty_alpn", InRecords(HelloWith({{16, Number(0, 2)}})), bad_alpn},
      {"alpn_with_empty_protocol", InRecords(HelloWith({{16, AlpnExtension({""})}})), bad_alpn},
      {"message_over_64_KiB",
       InRecords(Number(1, 1) + Number(kHelloBytesMax - 3, 3) + "the beginning"), HelloTooLarge()},
      {"records_of_one_byte", InRecords(plain, 1), HelloTooLarge()},
  };
}

}  // namespace berth::edge::testing
