#include "common/rpc/leader_channel.h"

#include <catch2/catch.hpp>
#include <deque>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "berth/config/v1/config.pb.h"
#include "common/clock/manual_clock.h"
#include "common/executor/manual_executor.h"
#include "common/ids/sequential_id_source.h"
#include "common/status/error_details.h"
#include "common/testing/printers.h"

namespace berth::rpc {
namespace {

using Answer = absl::StatusOr<std::string>;
using Ended = std::function<void(absl::Status)>;

absl::Status NotLeader(const std::string& leader) {
  return WithReason(absl::UnavailableError("stands by"), reason::kNotLeader, {{"address", leader}});
}
absl::Status NotReady() { return WithReason(absl::UnavailableError("not yet"), reason::kNotReady); }
absl::Status Unreached() { return absl::UnavailableError("connection refused"); }

// A service with copies: what each answers, and what it was asked.
struct Fleet {
  struct Copy : Channel {
    Copy(Fleet* of, std::string at) : fleet(of), address(std::move(at)) {}

    absl::StatusOr<std::string> CallBytes(const Method&, const std::string&,
                                          const CallOptions&) override {
      return absl::UnimplementedError("the channel under test asks without waiting");
    }
    void CallBytesAsync(const Method&, const std::string&, const CallOptions& options,
                        std::function<void(Answer)> done) override {
      fleet->asked.push_back(address);
      fleet->request_ids.insert(options.request_id);
      if (fleet->stopped.contains(address)) {
        return fleet->executor.PostAfter(
            options.deadline, [done] { done(absl::DeadlineExceededError("no answer in time")); });
      }
      fleet->executor.Post([answer = fleet->answers.at(address), done] { done(answer); });
    }
    std::unique_ptr<ClientStream> OpenBytes(const Method&, const std::string&,
                                            std::function<absl::Status(const std::string&)>,
                                            Ended when_ended) override {
      struct Ignored : ClientStream {
        void Send(const std::string&) override {}
      };
      fleet->asked.push_back(address);
      fleet->stream_ended = std::move(when_ended);
      return std::make_unique<Ignored>();
    }

    Fleet* const fleet;
    const std::string address;
  };

  explicit Fleet(std::vector<std::string> addresses) {
    channel = std::make_shared<LeaderChannel>(
        std::move(addresses),
        LeaderChannel::Dependencies{
            &clock, &ids,
            [this](const std::string& address) { return std::make_shared<Copy>(this, address); },
            [this](absl::Duration delay, std::function<void()> step) {
              executor.PostAfter(delay, std::move(step));
            }});
  }

  // The answer, if there is one within `patience`; advances the clock as long as it takes.
  Answer Call(absl::Duration patience = CallOptions::kDeadline) {
    std::optional<Answer> answer;
    channel->CallBytesAsync(Any(), "", CallOptions(),
                            [&](Answer given) { answer = std::move(given); });
    const absl::Duration begin = clock.Monotonic();
    executor.RunUntilIdle();
    while (!answer.has_value() && clock.Monotonic() - begin < patience) {
      executor.Advance(absl::Milliseconds(10));
    }
    took = clock.Monotonic() - begin;
    REQUIRE(answer.has_value());
    return *answer;
  }

  std::unique_ptr<ClientStream> Open() {
    return channel->OpenBytes(
        Any(), "", [](const std::string&) { return absl::OkStatus(); },
        [this](absl::Status status) { ended = std::move(status); });
  }

  static inline const absl::Status kNotEnded = absl::UnknownError("not ended");
  static const Method& Any() { return MethodFor(*config::v1::ListReleasesRequest::descriptor()); }

  ManualClock clock;
  ManualExecutor executor{&clock};
  SequentialIdSource ids;
  std::map<std::string, Answer> answers;
  std::set<std::string> stopped;  // They take calls and say nothing.
  std::vector<std::string> asked;
  std::set<std::string> request_ids;
  Ended stream_ended;
  absl::Status ended = kNotEnded;
  absl::Duration took;
  std::shared_ptr<LeaderChannel> channel;
};

using Addresses = std::vector<std::string>;

TEST_CASE("a call follows to where a standby says the leader is, and stays there",
          "[rpc][leader_channel]") {
  Fleet fleet({"a:1"});
  fleet.answers = {{"a:1", NotLeader("b:1")}, {"b:1", "done"}};
  CHECK(*fleet.Call() == "done");
  CHECK(*fleet.Call() == "done");
  CHECK(fleet.asked == Addresses{"a:1", "b:1", "b:1"});
  CHECK(fleet.took == absl::ZeroDuration());
}

TEST_CASE("all attempts of a call have one request id", "[rpc][leader_channel]") {
  Fleet fleet({"a:1"});
  fleet.answers = {{"a:1", NotLeader("b:1")}, {"b:1", "done"}};
  REQUIRE(fleet.Call().ok());
  CHECK(fleet.request_ids.size() == 1);
}

TEST_CASE("an only copy is asked once, whatever it says", "[rpc][leader_channel]") {
  Fleet fleet({"a:1"});
  const absl::Status said = GENERATE(Unreached(), NotReady(), absl::NotFoundError("no such app"));
  fleet.answers = {{"a:1", said}};
  CHECK(fleet.Call().status() == said);
  CHECK(fleet.asked == Addresses{"a:1"});
}

TEST_CASE("where one copy is gone the others are asked", "[rpc][leader_channel]") {
  Fleet fleet({"a:1", "b:1", "c:1"});
  SECTION("one of which leads") {
    fleet.answers = {{"a:1", Unreached()}, {"b:1", Unreached()}, {"c:1", "done"}};
    CHECK(*fleet.Call() == "done");
    CHECK(fleet.asked == Addresses{"a:1", "b:1", "c:1"});
    CHECK(fleet.took == absl::ZeroDuration());
  }
  SECTION("and where it is stopped, it is not waited for until the end") {
    fleet.stopped = {"a:1"};
    fleet.answers = {{"b:1", "done"}};
    CHECK(*fleet.Call() == "done");
    CHECK(fleet.took <= LeaderChannel::kAttemptMax + absl::Milliseconds(10));
  }
  SECTION("also where it ends in the middle of the call") {
    fleet.answers = {{"a:1", absl::CancelledError("CANCELLED")}, {"b:1", "done"}};
    CHECK(*fleet.Call() == "done");
  }
  SECTION("and where all are gone the call ends at once") {
    fleet.answers = {{"a:1", Unreached()}, {"b:1", Unreached()}, {"c:1", Unreached()}};
    CHECK(absl::IsUnavailable(fleet.Call().status()));
    CHECK(fleet.took < absl::Seconds(1));
  }
}

TEST_CASE("a call waits for the next leader, within its deadline", "[rpc][leader_channel]") {
  Fleet fleet({"a:1", "b:1"});
  // The leader was killed a moment ago, and the standby does not know yet.
  fleet.answers = {{"a:1", Unreached()}, {"b:1", NotLeader("a:1")}};
  SECTION("and is carried out once there is one") {
    fleet.executor.PostAfter(absl::Seconds(6), [&] { fleet.answers["b:1"] = "done"; });
    CHECK(*fleet.Call() == "done");
    CHECK(fleet.took >= absl::Seconds(6));
    CHECK(fleet.took < absl::Seconds(8));
    CHECK(fleet.asked.size() < static_cast<size_t>(LeaderChannel::kAttemptsMax));
  }
  SECTION("and says why not where there is none") {
    CHECK(absl::IsUnavailable(fleet.Call().status()));
    CHECK(fleet.took <= CallOptions::kDeadline);
    CHECK(fleet.asked.size() <= static_cast<size_t>(LeaderChannel::kAttemptsMax));
  }
  SECTION("also while the copies that are left wait themselves") {
    fleet.answers["b:1"] = NotReady();
    fleet.executor.PostAfter(absl::Seconds(4), [&] { fleet.answers["b:1"] = "done"; });
    CHECK(*fleet.Call() == "done");
  }
}

TEST_CASE("what the leader answers is the answer, a refusal too", "[rpc][leader_channel]") {
  Fleet fleet({"a:1", "b:1"});
  fleet.answers = {{"a:1", absl::NotFoundError("no such app")}};
  CHECK(fleet.Call().status() == absl::NotFoundError("no such app"));
  CHECK(fleet.asked == Addresses{"a:1"});
}

TEST_CASE("a leader that led away and is gone is not asked for ever", "[rpc][leader_channel]") {
  Fleet fleet({"a:1"});
  fleet.answers = {{"a:1", NotLeader("b:1")}, {"b:1", "done"}};
  REQUIRE(fleet.Call().ok());
  fleet.answers = {{"b:1", Unreached()}, {"a:1", "done here"}};
  CHECK(*fleet.Call() == "done here");
}

TEST_CASE("a stream that ended leads the next one to the leader", "[rpc][leader_channel]") {
  Fleet fleet({"a:1", "b:1"});
  std::unique_ptr<ClientStream> stream = fleet.Open();
  SECTION("to whom it was told of") {
    fleet.stream_ended(NotLeader("c:1"));
    CHECK(ReasonOf(fleet.ended) == reason::kNotLeader);
    stream = fleet.Open();
    CHECK(fleet.asked == Addresses{"a:1", "c:1"});
  }
  SECTION("to the next address where nobody was there") {
    fleet.stream_ended(Unreached());
    stream = fleet.Open();
    CHECK(fleet.asked == Addresses{"a:1", "b:1"});
  }
  SECTION("to the next address where it fell silent") {
    fleet.clock.Advance(LeaderChannel::kSilenceMax);
    stream.reset();
    stream = fleet.Open();
    CHECK(fleet.asked == Addresses{"a:1", "b:1"});
  }
  SECTION("to the same where it was only dropped") {
    stream.reset();
    stream = fleet.Open();
    CHECK(fleet.asked == Addresses{"a:1", "a:1"});
  }
}

TEST_CASE("a stream from who leads no more ends once another copy has answered",
          "[rpc][leader_channel]") {
  Fleet fleet({"a:1", "b:1"});
  std::unique_ptr<ClientStream> stream = fleet.Open();
  fleet.answers = {{"a:1", "done by a"}, {"b:1", "done by b"}};
  REQUIRE(*fleet.Call() == "done by a");
  CHECK(fleet.ended == Fleet::kNotEnded);
  SECTION("although its process says nothing") { fleet.stopped = {"a:1"}; }
  SECTION("although its process goes on") { fleet.answers["a:1"] = NotLeader("b:1"); }
  REQUIRE(*fleet.Call() == "done by b");
  CHECK(absl::IsUnavailable(fleet.ended));
  CHECK_THAT(std::string(fleet.ended.message()), Catch::Contains("b:1"));
  // What comes of it afterwards is nobody's any more.
  fleet.ended = Fleet::kNotEnded;
  fleet.stream_ended(Unreached());
  CHECK(fleet.ended == Fleet::kNotEnded);
  stream = fleet.Open();
  CHECK(fleet.asked.back() == "b:1");
}

TEST_CASE("a stream that was dropped hears nothing more", "[rpc][leader_channel]") {
  Fleet fleet({"a:1", "b:1"});
  std::unique_ptr<ClientStream> stream = fleet.Open();
  stream.reset();
  fleet.answers = {{"b:1", "done by b"}};
  fleet.stopped = {"a:1"};
  REQUIRE(*fleet.Call() == "done by b");
  CHECK(fleet.ended == Fleet::kNotEnded);
}

}  // namespace
}  // namespace berth::rpc
