#include "agent/exec_sessions.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/runtime/fake_driver.h"
#include "common/clock/manual_clock.h"
#include "common/exec/exec_grant.h"
#include "common/executor/thread_executor.h"
#include "common/sync/mutex.h"
#include "common/sync/notification.h"
#include "common/testing/printers.h"
#include "common/time/timestamp.h"

namespace berth::agent {
namespace {

using scheduler::v1::RelayUp;

constexpr absl::Duration kWaitMax = absl::Seconds(30);

// A host, alpha, with one instance, web-1, and what it sends.
struct Host {
  Host() {
    InstanceSpec spec;
    spec.instance_id = "web-1";
    spec.image = "registry.example/web@sha256:1";
    REQUIRE(driver.EnsureImage({.image = spec.image}, nullptr).ok());
    handle = driver.Start(spec).value();
    loop.Post([this] {
      sessions = std::make_unique<ExecSessions>(ExecSessions::Dependencies{
          "alpha", &driver, &loop, &clock,
          [this](const std::string& instance) -> std::optional<InstanceHandle> {
            if (instance != "web-1") return std::nullopt;
            return handle;
          },
          [this](const auto& answer) { answer(scheduler_key); }});
    });
  }
  ~Host() {
    OnLoop([this] { sessions.reset(); });
    loop.Stop();
  }

  void OnLoop(std::function<void()> step) {
    Notification done;
    loop.Post([&] {
      step();
      done.Notify();
    });
    REQUIRE(done.WaitForNotificationWithTimeout(kWaitMax));
  }

  scheduler::v1::ExecGrant Grant(const std::string& script) {
    scheduler::v1::ExecGrant grant;
    grant.set_host("alpha");
    grant.set_instance("web-1");
    grant.set_id(absl::StrCat("grant-", ++grants));
    *grant.mutable_expire_time() = ToTimestamp(clock.Now() + kExecGrantLifetime);
    for (const std::string& word : {std::string("sh"), std::string("-c"), script}) {
      grant.add_command(word);
    }
    return grant;
  }
  scheduler::v1::OpenExec Request(const scheduler::v1::ExecGrant& grant) const {
    scheduler::v1::OpenExec open;
    *open.mutable_grant() = SignExecGrant(grant, key);
    return open;
  }
  scheduler::v1::OpenExec Request(const std::string& script) { return Request(Grant(script)); }

  void Open(const scheduler::v1::OpenExec& request) {
    OnLoop([this, request] {
      sessions->Open(7, request, [this](const RelayUp& message) {
        MutexLock lock(&mutex);
        sent.push_back(message);
      });
    });
  }

  // The output so far, once it has so many bytes or the session has ended, or `until` holds of a
  // message.
  template <typename Until>
  std::string Await(size_t bytes, Until until) {
    MutexLock lock(&mutex);
    std::string output;
    const auto is_there = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      output.clear();
      for (const RelayUp& message : sent) output += message.exec_output().data();
      return output.size() >= bytes || std::any_of(sent.begin(), sent.end(), until);
    };
    CHECK(mutex.AwaitWithTimeout(is_there, kWaitMax));
    return output;
  }
  std::string AwaitOutput(size_t bytes) {
    return Await(bytes, [](const RelayUp& message) { return message.has_ended(); });
  }
  std::string AwaitEnd() { return AwaitOutput(std::string::npos); }
  const RelayUp& Sent(size_t from_the_end) {
    MutexLock lock(&mutex);
    return sent.at(sent.size() - 1 - from_the_end);
  }

  const SigningKey key = SigningKey::Generate();
  absl::StatusOr<std::string> scheduler_key = key.public_key();  // As auth has it.
  int grants = 0;
  ManualClock clock;
  FakeDriver driver{&clock};
  InstanceHandle handle;
  Mutex mutex;
  std::vector<RelayUp> sent;
  std::unique_ptr<ExecSessions> sessions;
  ThreadExecutor loop{"loop"};
};

TEST_CASE("a command's output, its exit code and the session's end are sent, in this order",
          "[agent][exec]") {
  Host host;
  host.Open(host.Request("echo hello; exit 3"));
  CHECK(host.AwaitEnd() == "hello\n");
  CHECK(host.Sent(1).exec_exited().exit_code() == 3);
  CHECK(host.Sent(0).ended().error() == "");
}

TEST_CASE("a command reads what comes, and each piece is acknowledged", "[agent][exec]") {
  Host host;
  scheduler::v1::OpenExec request = host.Request("cat");
  request.set_input(true);
  host.Open(request);
  scheduler::v1::ExecInput input;
  input.set_data("hello");
  host.OnLoop([&] { host.sessions->Input(7, input); });
  host.Await(std::string::npos,
             [](const RelayUp& message) { return message.has_exec_input_taken(); });
  input.clear_data();
  input.set_end(true);
  host.OnLoop([&] { host.sessions->Input(7, input); });
  CHECK(host.AwaitEnd() == "hello");
}

TEST_CASE("no more output is sent than was asked for", "[agent][exec]") {
  constexpr size_t kWindow = ExecSessions::kOutputWindowBytes;
  Host host;
  host.Open(host.Request("head -c 1000000 /dev/zero"));
  CHECK(host.AwaitOutput(kWindow).size() == kWindow);
  scheduler::v1::ExecCredit credit;
  credit.set_bytes(kWindow);
  for (size_t windows = 2; windows <= 3; ++windows) {
    host.OnLoop([&] { host.sessions->Credit(7, credit); });
    CHECK(host.AwaitOutput(windows * kWindow).size() == windows * kWindow);
  }
  host.OnLoop([&] { host.sessions->Credit(7, credit); });
  CHECK(host.AwaitEnd().size() == 1000000);
}

TEST_CASE("what was not granted to this host now is refused", "[agent][exec]") {
  Host host;
  scheduler::v1::ExecGrant grant = host.Grant("true");
  scheduler::v1::OpenExec request = host.Request(grant);
  std::string why;
  SECTION("to another host") {
    grant.set_host("beta");
    request = host.Request(grant);
    why = "for host beta";
  }
  SECTION("long ago") {
    host.clock.Advance(kExecGrantLifetime);
    why = "is over";
  }
  SECTION("for an instance that is not here") {
    grant.set_instance("web-2");
    request = host.Request(grant);
    why = "has not been started";
  }
  SECTION("by the scheduler, but for another command") {
    grant.set_command(2, "false");
    request.mutable_grant()->set_grant(grant.SerializeAsString());
    why = "not signed";
  }
  SECTION("by somebody else") {
    *request.mutable_grant() = SignExecGrant(grant, SigningKey::Generate());
    why = "not signed";
  }
  SECTION("by whom auth does not know as the scheduler any more") {
    host.scheduler_key = SigningKey::Generate().public_key();
    why = "not signed";
  }
  SECTION("as far as auth can be asked") {
    host.scheduler_key = absl::UnavailableError("no route to auth");
    why = "no route to auth";
  }
  SECTION("before the agent started, when it may have been used") {
    *grant.mutable_expire_time() =
        ToTimestamp(host.clock.Now() + kExecGrantLifetime - absl::Seconds(1));
    request = host.Request(grant);
    why = "before the agent";
  }
  host.Open(request);
  CHECK(host.AwaitEnd() == "");
  CHECK_THAT(host.Sent(0).ended().error(), Catch::Contains(why));
}

TEST_CASE("a grant is good for one command", "[agent][exec]") {
  Host host;
  const scheduler::v1::OpenExec request = host.Request("echo once");
  host.Open(request);
  CHECK(host.AwaitEnd() == "once\n");
  host.sent.clear();
  host.Open(request);
  CHECK(host.AwaitEnd() == "");
  CHECK_THAT(host.Sent(0).ended().error(), Catch::Contains("used already"));
}

TEST_CASE("a forged grant does not use up the real one", "[agent][exec]") {
  Host host;
  const scheduler::v1::ExecGrant grant = host.Grant("echo once");
  scheduler::v1::OpenExec forged;
  *forged.mutable_grant() = SignExecGrant(grant, SigningKey::Generate());
  host.Open(forged);
  CHECK(host.AwaitEnd() == "");
  host.sent.clear();
  host.Open(host.Request(grant));
  CHECK(host.AwaitEnd() == "once\n");
}

TEST_CASE("a command ends with its session", "[agent][exec]") {
  Host host;
  host.Open(host.Request("echo begun; exec sleep 1000"));
  host.AwaitOutput(1);
  host.OnLoop([&] { host.sessions->Close(7); });
}

}  // namespace
}  // namespace berth::agent
