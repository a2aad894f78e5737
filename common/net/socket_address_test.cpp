#include "common/net/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <tuple>

#include "common/net/unique_fd.h"

namespace berth {
namespace {

TEST_CASE("host and port are read back as they are written", "[net][socket-address]") {
  const auto [text, host, port] = GENERATE(table<std::string, std::string, int>({
      {"localhost:80", "localhost", 80},
      {"192.0.2.1:65535", "192.0.2.1", 65535},
      {"[2001:db8::1]:443", "2001:db8::1", 443},
      {":0", "", 0},
  }));
  const auto parsed = ParseHostPort(text);
  REQUIRE(parsed.ok());
  CHECK(parsed->host == host);
  CHECK(parsed->port == port);
  CHECK(FormatHostPort(*parsed) == text);
}

TEST_CASE("a wrong address is refused with what is wrong with it", "[net][socket-address]") {
  const auto [text, reason] = GENERATE(table<std::string, std::string>({
      {"", "port is missing"},
      {"localhost", "port is missing"},
      {"[::1]", "port is missing"},
      {"localhost:", "not a number from 0 to 65535"},
      {"localhost:http", "not a number from 0 to 65535"},
      {"localhost:65536", "not a number from 0 to 65535"},
      {"localhost:-1", "not a number from 0 to 65535"},
      {"localhost:+1", "not a number from 0 to 65535"},
      {"localhost: 1", "not a number from 0 to 65535"},
      {"localhost:000080", "not a number from 0 to 65535"},
      {"::1:443", "stands in brackets"},
      {"[::1:443", "is not closed"},
      {"[::1]443", "after ']'"},
      {"[localhost]:443", "only an IPv6 address"},
      {"a b:1", "no host has"},
      {"user@host:1", "no host has"},
  }));
  INFO(text);
  const auto parsed = ParseHostPort(text);
  REQUIRE(parsed.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(parsed.status().message()), Catch::Contains(reason));
}

TEST_CASE("a too long address is refused", "[net][socket-address]") {
  CHECK_FALSE(ParseHostPort(std::string(100'000, 'a') + ":1").ok());
}

TEST_CASE("a socket address prints in canonical form", "[net][socket-address]") {
  const auto [text, printed, family] = GENERATE(table<std::string, std::string, int>({
      {"127.0.0.1:8080", "127.0.0.1:8080", AF_INET},
      {"[::1]:1", "[::1]:1", AF_INET6},
      {"[2001:DB8:0:0::1]:443", "[2001:db8::1]:443", AF_INET6},
  }));
  const auto address = SocketAddress::Parse(text);
  REQUIRE(address.ok());
  CHECK(address->ToString() == printed);
  CHECK(address->family() == family);
}

TEST_CASE("a socket address takes no name, zone or shortened IPv4", "[net][socket-address]") {
  for (const std::string text : {"localhost:1", "[fe80::1%eth0]:1", "127.1:80", ":80", "1.2.3:4"}) {
    INFO(text);
    CHECK(SocketAddress::Parse(text).status().code() == absl::StatusCode::kInvalidArgument);
  }
  CHECK_FALSE(SocketAddress::FromIp(absl::string_view("127.0.0.1\0x", 11), 1).ok());
}

TEST_CASE("the kernel binds what was parsed and names it back", "[net][socket-address]") {
  const auto any_port = SocketAddress::Parse("127.0.0.1:0");
  REQUIRE(any_port.ok());
  const UniqueFd fd(socket(any_port->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(fd.valid());
  REQUIRE(bind(fd.get(), any_port->sockaddr(), any_port->sockaddr_size()) == 0);
  sockaddr_storage storage = {};
  socklen_t size = sizeof(storage);
  REQUIRE(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&storage), &size) == 0);
  const auto bound = SocketAddress::FromStorage(storage);
  REQUIRE(bound.ok());
  CHECK(bound->ip() == "127.0.0.1");
  CHECK(bound->port() != 0);
  CHECK_FALSE(*bound == *any_port);
  CHECK(*bound == *SocketAddress::FromIp("127.0.0.1", bound->port()));
}

TEST_CASE("a unix socket is no socket address", "[net][socket-address]") {
  sockaddr_storage storage = {};
  storage.ss_family = AF_UNIX;
  CHECK_FALSE(SocketAddress::FromStorage(storage).ok());
}

}  // namespace
}  // namespace berth
