#include "common/libpod/libpod_client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/net/unique_fd.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth {
namespace {

// Answers one request with a text, and ends the connection where that is asked for.
class FakePodman {
 public:
  enum class Then { kEnd, kStayOpen };

  FakePodman(std::string answer, Then then) : listener_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof(address.sun_path) - 1);
    REQUIRE(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(listen(listener_.get(), 1) == 0);
    thread_ = std::thread([this, answer = std::move(answer), then] { Serve(answer, then); });
  }
  ~FakePodman() {
    if (thread_.joinable()) thread_.join();
  }

  std::string path() const { return folder_.File("socket"); }
  // Once the client has its answer, and only once.
  const std::string& AwaitRequest() {
    thread_.join();
    return request_;
  }

 private:
  // With POST, to the end of the body, which is a JSON object here.
  bool IsWhole() const {
    return absl::EndsWith(request_, absl::StartsWith(request_, "POST") ? "}" : "\r\n\r\n");
  }

  void Serve(const std::string& answer, Then then) {
    const UniqueFd connection(accept(listener_.get(), nullptr, nullptr));
    char bytes[1024];
    ssize_t count = 0;
    while (!IsWhole() && (count = read(connection.get(), bytes, sizeof(bytes))) > 0) {
      request_.append(bytes, static_cast<size_t>(count));
    }
    send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    if (then == Then::kEnd) return;
    // Until the client ends it.
    while (read(connection.get(), bytes, sizeof(bytes)) > 0) {
    }
  }

  const testing::TempDir folder_;
  const UniqueFd listener_;
  std::string request_;
  std::thread thread_;
};

std::string Answer(const std::string& status, const std::string& body) {
  return absl::StrCat("HTTP/1.1 ", status, "\r\nContent-Length: ", body.size(), "\r\n\r\n", body);
}

TEST_CASE("a call sends its request and has the answer's JSON", "[libpod][client]") {
  FakePodman podman(Answer("201 Created", R"({"Id":"c1"})"), FakePodman::Then::kStayOpen);
  LibpodClient client(podman.path());
  const auto answer =
      client.Call({.method = "POST", .path = "/containers/create", .body = R"({"a":1})"});
  REQUIRE(answer.ok());
  CHECK(*answer == nlohmann::json({{"Id", "c1"}}));
  const std::string request = podman.AwaitRequest();
  CHECK(absl::StartsWith(request, "POST /v4.0.0/libpod/containers/create HTTP/1.1\r\n"));
  CHECK(absl::StrContains(request, "Content-Length: 7\r\n"));
  CHECK(absl::EndsWith(request, "\r\n\r\n{\"a\":1}"));
}

TEST_CASE("an error has Podman's own words", "[libpod][client]") {
  FakePodman podman(Answer("404 Not Found", R"({"message":"no such image"})"),
                    FakePodman::Then::kEnd);
  const auto answer = LibpodClient(podman.path()).Call({.path = "/images/x/json"});
  CHECK(answer.status().code() == absl::StatusCode::kNotFound);
  CHECK(absl::StrContains(answer.status().message(), "no such image"));
}

TEST_CASE("an answer that breaks off is no answer", "[libpod][client]") {
  FakePodman podman("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}", FakePodman::Then::kEnd);
  const auto answer = LibpodClient(podman.path()).Call({.path = "/info"});
  CHECK(answer.status().code() == absl::StatusCode::kUnavailable);
}

TEST_CASE("a silent Podman is given up", "[libpod][client]") {
  FakePodman podman("", FakePodman::Then::kStayOpen);
  const auto answer =
      LibpodClient(podman.path()).Call({.path = "/info", .timeout = absl::Milliseconds(1)});
  CHECK(answer.status().code() == absl::StatusCode::kDeadlineExceeded);
}

TEST_CASE("a stream without a deadline ends when it is told to", "[libpod][client]") {
  FakePodman podman("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n",
                    FakePodman::Then::kStayOpen);
  std::stop_source stop;
  std::string got;
  bool begun = false;
  const absl::Status status =
      LibpodClient(podman.path())
          .Stream({.path = "/events", .timeout = absl::InfiniteDuration()}, stop.get_token(),
                  {.on_begin = [&] { begun = true; },
                   .on_bytes =
                       [&](absl::string_view bytes) {
                         got.append(bytes.data(), bytes.size());
                         stop.request_stop();
                         return true;
                       }});
  CHECK(status.ok());
  CHECK(begun);
  CHECK(got == "one");
}

TEST_CASE("where nothing listens, Podman is begun and asked again", "[libpod][client]") {
  const testing::TempDir folder;
  CHECK(LibpodClient(folder.File("none")).Call({.path = "/info"}).status().code() ==
        absl::StatusCode::kUnavailable);

  int begun = 0;
  LibpodClient client(folder.File("none"), [&] {
    ++begun;
    return absl::FailedPreconditionError("not installed");
  });
  CHECK(client.Call({.path = "/info"}).status().message() == "not installed");
  CHECK(begun == 1);
}

}  // namespace
}  // namespace berth
