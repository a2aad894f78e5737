#include "agent/health/prober.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "absl/synchronization/notification.h"
#include "agent/runtime/fake_driver.h"
#include "common/clock/manual_clock.h"
#include "common/executor/thread_executor.h"
#include "common/net/unique_fd.h"
#include "common/testing/printers.h"

namespace berth {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(20);

// A port of this machine's loopback that a test has to itself.
class Listener {
 public:
  Listener() : socket_(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in6 address = {};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    REQUIRE(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    socklen_t size = sizeof(address);
    REQUIRE(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin6_port);
  }

  void Listen() { REQUIRE(listen(socket_.get(), 8) == 0); }
  uint16_t port() const { return port_; }
  int fd() const { return socket_.get(); }

 private:
  UniqueFd socket_;
  uint16_t port_ = 0;
};

// Answers one request with the text, on a thread of its own.
class OneAnswer {
 public:
  OneAnswer(Listener& listener, std::string answer) : thread_("answer") {
    listener.Listen();
    thread_.Post([fd = listener.fd(), answer = std::move(answer)] {
      const UniqueFd connection(accept(fd, nullptr, nullptr));
      char request[4096];
      if (recv(connection.get(), request, sizeof(request), 0) <= 0) return;
      [[maybe_unused]] const ssize_t sent =
          send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    });
  }

 private:
  ThreadExecutor thread_;
};

struct Subject {
  CheckResult Run(const Check& check, absl::Duration timeout = kTimeout) {
    return RunCheck(check, {.handle = handle, .address = "::1"}, timeout, driver, &deadlines);
  }

  ManualClock clock;
  FakeDriver driver{&clock};
  InstanceHandle handle;
  ThreadExecutor deadlines{"deadlines"};
};

TEST_CASE("a TCP check passes where something listens", "[agent][prober]") {
  Subject subject;
  Listener listener;
  SECTION("listening") {
    listener.Listen();
    CHECK(subject.Run(TcpCheck{listener.port()}).passed);
  }
  SECTION("not listening") {
    const CheckResult result = subject.Run(TcpCheck{listener.port()});
    CHECK_FALSE(result.passed);
    CHECK(result.detail ==
          "connect to [::1]:" + std::to_string(listener.port()) + ": Connection refused");
  }
}

TEST_CASE("an address that is none fails the check", "[agent][prober]") {
  Subject subject;
  CHECK_FALSE(RunCheck(TcpCheck{80}, {.handle = {}, .address = "no address"}, kTimeout,
                       subject.driver, &subject.deadlines)
                  .passed);
}

TEST_CASE("an HTTP check goes by the status", "[agent][prober]") {
  Subject subject;
  Listener listener;
  SECTION("any of 200 to 399 where none is named") {
    OneAnswer answer(listener, "HTTP/1.1 204 No Content\r\n\r\n");
    CHECK(subject.Run(HttpCheck{.port = listener.port(), .path = "/healthz"}).passed);
  }
  SECTION("a redirect is an answer, and not followed") {
    OneAnswer answer(
        listener, "HTTP/1.1 302 Found\r\nLocation: http://[::1]:1/\r\nContent-Length: 0\r\n\r\n");
    CHECK(subject.Run(HttpCheck{.port = listener.port()}).passed);
  }
  SECTION("an error fails") {
    OneAnswer answer(listener, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    const CheckResult result = subject.Run(HttpCheck{.port = listener.port()});
    CHECK_FALSE(result.passed);
    CHECK_THAT(result.detail, Catch::EndsWith("status 503, expected 200 to 399"));
  }
  SECTION("one that is not named fails") {
    OneAnswer answer(listener, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    const CheckResult result =
        subject.Run(HttpCheck{.port = listener.port(), .path = "/", .statuses = {201, 202}});
    CHECK_FALSE(result.passed);
    CHECK_THAT(result.detail, Catch::EndsWith("status 200, expected 201, 202"));
  }
  SECTION("a page larger than what is read of it passes") {
    OneAnswer answer(
        listener, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + std::string(1000000, 'x'));
    CHECK(subject.Run(HttpCheck{.port = listener.port()}).passed);
  }
}

TEST_CASE("a server that accepts and never answers fails in time", "[agent][prober]") {
  Subject subject;
  Listener listener;
  listener.Listen();
  const CheckResult result =
      subject.Run(HttpCheck{.port = listener.port()}, absl::Milliseconds(20));
  CHECK_FALSE(result.passed);
  CHECK_THAT(result.detail, Catch::EndsWith("no answer within 20ms"));
}

TEST_CASE("a server that answers a byte now and then fails in time", "[agent][prober]") {
  Subject subject;
  Listener listener;
  listener.Listen();
  ThreadExecutor thread("drip");
  // As long as somebody reads it.
  thread.Post([fd = listener.fd()] {
    const UniqueFd connection(accept(fd, nullptr, nullptr));
    pollfd left{connection.get(), POLLIN, 0};
    char request[4096];
    while (send(connection.get(), "H", 1, MSG_NOSIGNAL) == 1) {
      poll(&left, 1, 1);
      if (left.revents != 0 && recv(connection.get(), request, sizeof(request), 0) <= 0) return;
    }
  });
  const CheckResult result =
      subject.Run(HttpCheck{.port = listener.port()}, absl::Milliseconds(50));
  CHECK_FALSE(result.passed);
}

TEST_CASE("an exec check goes by the exit code", "[agent][prober]") {
  Subject subject;
  InstanceSpec spec;
  spec.instance_id = "a";
  spec.image = "x@sha256:1";
  REQUIRE(subject.driver.EnsureImage({.image = spec.image}, nullptr).ok());
  subject.handle = *subject.driver.Start(spec);
  SECTION("0 passes") {
    subject.driver.SetExec([](const std::vector<std::string>&) { return ExecResult{0, ""}; });
    CHECK(subject.Run(ExecCheck{{"ping"}}).passed);
  }
  SECTION("anything else fails with what the command said") {
    subject.driver.SetExec(
        [](const std::vector<std::string>&) { return ExecResult{2, "no database\n"}; });
    const CheckResult result = subject.Run(ExecCheck{{"app", "ping"}});
    CHECK_FALSE(result.passed);
    CHECK(result.detail == "command app ping: exit code 2: no database");
  }
  SECTION("a driver that is away fails") {
    subject.driver.SetUnavailable(absl::UnavailableError("podman does not answer"));
    const CheckResult result = subject.Run(ExecCheck{{"ping"}});
    CHECK(result.detail == "command ping: podman does not answer");
  }
}

}  // namespace
}  // namespace berth
