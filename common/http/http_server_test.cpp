#include "common/http/http_server.h"

#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/net/socket_address.h"
#include "common/net/unique_fd.h"
#include "common/sync/notification.h"
#include "common/testing/printers.h"

namespace berth {
namespace {

std::unique_ptr<HttpServer> StartWith(std::map<std::string, HttpPage> pages) {
  auto server = HttpServer::Start("127.0.0.1:0", std::move(pages));
  REQUIRE(server.ok());
  return *std::move(server);
}

UniqueFd Connect(const std::string& address) {
  const absl::StatusOr<SocketAddress> to = SocketAddress::Parse(address);
  REQUIRE(to.ok());
  UniqueFd socket(::socket(to->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(socket.get(), to->sockaddr(), to->sockaddr_size()) != 0) return UniqueFd();
  return socket;
}

void Send(const UniqueFd& socket, const std::string& bytes) {
  REQUIRE(send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(bytes.size()));
}

// All that comes before the server closes the connection.
std::string ReadAll(const UniqueFd& socket) {
  std::string text;
  char buffer[4096];
  for (ssize_t count = 1; count > 0;) {
    count = recv(socket.get(), buffer, sizeof(buffer), 0);
    if (count > 0) text.append(buffer, static_cast<size_t>(count));
  }
  return text;
}

std::string Ask(const HttpServer& server, const std::string& request) {
  const UniqueFd socket = Connect(server.address());
  REQUIRE(socket.valid());
  Send(socket, request);
  return ReadAll(socket);
}

std::string Get(const HttpServer& server, const std::string& path) {
  return Ask(server, absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: localhost\r\n\r\n"));
}

TEST_CASE("a page is served at its path, and nothing else is", "[http]") {
  const auto server =
      StartWith({{"/page", [] { return HttpResponse{503, "text/plain; version=1", "word\n"}; }}});
  const std::string page = Get(*server, "/page");
  CHECK(absl::StartsWith(page, "HTTP/1.1 503 "));
  CHECK(absl::StrContains(page, "Content-Type: text/plain; version=1\r\n"));
  CHECK(absl::StrContains(page, "Connection: close\r\n"));
  CHECK(absl::EndsWith(page, "\r\n\r\nword\n"));
  CHECK(absl::StartsWith(Get(*server, "/other"), "HTTP/1.1 404 "));
  CHECK(absl::StartsWith(Get(*server, "/page/"), "HTTP/1.1 404 "));
  CHECK(absl::StartsWith(Ask(*server, "not HTTP\r\n\r\n"), "HTTP/1.1 400 "));
  const std::string post = Ask(
      *server, "POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
  CHECK(absl::StartsWith(post, "HTTP/1.1 404 "));
}

TEST_CASE("a body that is too large is refused", "[http]") {
  const auto server = StartWith({{"/page", [] { return HttpResponse(); }}});
  const std::string answer =
      Ask(*server, absl::StrCat("POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: ",
                                HttpServer::kRequestBodyBytesMax + 1, "\r\n\r\n",
                                std::string(HttpServer::kRequestBodyBytesMax + 1, 'x')));
  CHECK(absl::StartsWith(answer, "HTTP/1.1 413 "));
}

TEST_CASE("more clients than threads wait for their turn", "[http]") {
  constexpr size_t kClients = 2 * HttpServer::kThreads;
  Notification go;
  Mutex mutex;
  size_t making = 0;
  size_t most = 0;
  const auto server = StartWith({{"/slow", [&] {
                                    {
                                      MutexLock lock(&mutex);
                                      most = std::max(most, ++making);
                                    }
                                    go.WaitForNotification();
                                    MutexLock lock(&mutex);
                                    --making;
                                    return HttpResponse();
                                  }}});
  std::vector<UniqueFd> sockets;
  for (size_t i = 0; i < kClients; ++i) {
    sockets.push_back(Connect(server->address()));
    REQUIRE(sockets.back().valid());
    Send(sockets.back(), "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  {
    MutexLock lock(&mutex);
    mutex.Await([&] { return making == HttpServer::kThreads; });
  }
  go.Notify();
  for (const UniqueFd& socket : sockets) {
    CHECK(absl::StartsWith(ReadAll(socket), "HTTP/1.1 200 "));
  }
  CHECK(most == HttpServer::kThreads);
}

TEST_CASE("a server that ends closes its port, and what is half asked does not keep it", "[http]") {
  auto server = StartWith({{"/page", [] { return HttpResponse(); }}});
  const std::string address = server->address();
  const UniqueFd idle = Connect(address);
  REQUIRE(idle.valid());
  shutdown(idle.get(), SHUT_WR);
  server.reset();
  CHECK_FALSE(Connect(address).valid());
  // And the port can be had again at once.
  CHECK(HttpServer::Start(address, {}).ok());
}

TEST_CASE("a port that is taken is an error", "[http]") {
  const auto first = StartWith({});
  const absl::Status second = HttpServer::Start(first->address(), {}).status();
  CHECK(second.code() == absl::StatusCode::kUnavailable);
  CHECK(absl::StrContains(second.message(), first->address()));
}

TEST_CASE("only the loopback is listened on", "[http]") {
  for (const char* address : {"127.0.0.1:0", "127.1.2.3:80", "[::1]:80", "localhost:80"}) {
    INFO(address);
    CHECK(CheckLoopback(address).ok());
  }
  for (const char* address : {"0.0.0.0:80", ":80", "[::]:80", "192.0.2.1:80", "example.com:80",
                              "[::ffff:127.0.0.1]:80", "127.example.com:80"}) {
    INFO(address);
    CHECK(CheckLoopback(address).code() == absl::StatusCode::kFailedPrecondition);
    CHECK_FALSE(HttpServer::Start(address, {}).ok());
  }
  CHECK(CheckLoopback("127.0.0.1").code() == absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace berth
