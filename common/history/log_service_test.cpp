#include "common/history/log_service.h"

#include <catch2/catch.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "berth/config/v1/config.pb.h"
#include "berth/config/v1/events.pb.h"
#include "berth/config/v1/snapshot.pb.h"
#include "common/clock/manual_clock.h"
#include "common/eventlog/event_sourced.h"
#include "common/eventlog/memory_event_log.h"
#include "common/executor/manual_executor.h"
#include "common/ids/sequential_id_source.h"
#include "common/rpc/fake_services.h"
#include "common/rpc/state_dispatcher.h"
#include "common/status/error_details.h"
#include "common/testing/printers.h"

namespace berth {
namespace {

using eventlog::v1::FollowRecordsRequest;
using eventlog::v1::FollowRecordsResponse;
using eventlog::v1::ListRecordsRequest;
using eventlog::v1::ListRecordsResponse;
using eventlog::v1::VerifyLogRequest;
using eventlog::v1::VerifyLogResponse;

// A state that stores what it is told.
class Nothing {
 public:
  using Event = config::v1::Event;
  void Apply(const Event&) {}
  void Touched(const Event&, std::set<TopicKey>*) const {}
  std::optional<std::string> View(const TopicKey&) const { return std::nullopt; }
  TopicEntries Entries(const std::string&) const { return {}; }
  using Snapshot = config::v1::StateSnapshot;
  static constexpr uint32_t kStateVersion = 1;
  Snapshot Save() const { return {}; }
  void Load(const Snapshot&) {}
};

config::v1::Event Deleted(const std::string& org, const std::string& app) {
  config::v1::Event event;
  types::v1::EnvironmentName* name = event.mutable_environment_deleted()->mutable_environment();
  name->set_org(org);
  name->set_app(app);
  name->set_env("production");
  return event;
}

// What a client receives of a stream, taking one message at a time when told.
class FakeStream : public rpc::Stream {
 public:
  void Begin(std::shared_ptr<rpc::Conversation> conversation) override {
    conversation_ = std::move(conversation);
  }
  void Wake() override {}
  void End(absl::Status status) override { ended = std::move(status); }

  // nullopt: there is nothing now.
  template <typename Response = FollowRecordsResponse>
  std::optional<Response> Take() {
    if (conversation_ == nullptr) return std::nullopt;
    std::string bytes;
    for (const auto& piece : conversation_->Next()) bytes += *piece;
    if (bytes.empty()) return std::nullopt;
    Response response;
    REQUIRE(response.ParseFromString(bytes));
    return response;
  }

  std::optional<absl::Status> ended;

 private:
  std::shared_ptr<rpc::Conversation> conversation_;
};

// A service with a log, and its past.
struct Platform {
  Platform() {
    rpc::SetToken(&access, Secret('v'), "user/viewer", clock.Now() + absl::Hours(1000));
    access.Set("principal/user/viewer", rpc::PersonWith("user/viewer", auth::v1::ROLE_VIEWER));
    auth::v1::Principal root;
    root.set_name("user/root");
    root.set_platform_admin(true);
    rpc::SetToken(&access, Secret('r'), "user/root", clock.Now() + absl::Hours(1000));
    access.Set("principal/user/root", root.SerializeAsString());
    access.Advance(1);
    state.Start({"test", "10.0.0.1:7443"}, [](absl::Status) {});
    executor.RunUntilIdle();
  }

  static std::string Secret(char c) { return std::string(32, c); }

  // Stores a record; its position.
  uint64_t Write(const config::v1::Event& event, const std::string& org,
                 const std::string& principal = "user/ada") {
    CommandOrigin origin;
    origin.principal = principal;
    origin.method = "berth.config.v1.ConfigService.DeleteEnvironment";
    origin.org = org;
    state.Execute<config::v1::DeleteEnvironmentResponse>(
        origin, Recorded::kAlways,
        [event](const Nothing&, const DecisionContext&)
            -> Decided<config::v1::Event, config::v1::DeleteEnvironmentResponse> {
          return Decision<config::v1::Event, config::v1::DeleteEnvironmentResponse>{{event}, {}};
        },
        [](absl::StatusOr<config::v1::DeleteEnvironmentResponse> done) { REQUIRE(done.ok()); });
    executor.RunUntilIdle();
    return state.writer().numbers().position;
  }

  template <typename Request>
  rpc::IncomingCall CallOf(const Request&, char who) const {
    rpc::IncomingCall call;
    call.method = &rpc::MethodFor(*Request::descriptor());
    call.credentials.token = rpc::FormatToken(1, Secret(who));
    return call;
  }

  absl::StatusOr<ListRecordsResponse> List(ListRecordsRequest request, char who = 'v') {
    if (request.stream().empty()) request.set_stream("config");
    absl::StatusOr<std::string> answer = absl::InternalError("not answered");
    past.dispatcher().Unary(CallOf(request, who), request.SerializeAsString(),
                            [&](absl::StatusOr<std::string> got) { answer = std::move(got); });
    executor.RunUntilIdle();
    if (!answer.ok()) return answer.status();
    ListRecordsResponse response;
    REQUIRE(response.ParseFromString(*answer));
    return response;
  }

  // Without its first steps.
  template <typename Request>
  std::shared_ptr<FakeStream> Open(const Request& request, char who) {
    auto stream = std::make_shared<FakeStream>();
    past.dispatcher().Open(CallOf(request, who), request.SerializeAsString(), stream);
    return stream;
  }

  std::shared_ptr<FakeStream> Follow(const FollowRecordsRequest& request, char who = 'v') {
    const std::shared_ptr<FakeStream> stream = Open(request, who);
    executor.RunUntilIdle();
    return stream;
  }

  std::shared_ptr<FakeStream> Verify(char who = 'r') {
    VerifyLogRequest request;
    request.set_stream("config");
    const std::shared_ptr<FakeStream> stream = Open(request, who);
    executor.RunUntilIdle();
    return stream;
  }

  ManualClock clock;
  ManualExecutor executor{&clock};
  SequentialIdSource ids;
  rpc::AccessView access;
  std::shared_ptr<MemoryDatabase> database = std::make_shared<MemoryDatabase>(&clock);
  MemoryEventLog log{database, "config"};
  EventSourced<Nothing> state{"config", LogWriter::Limits(), &log, &executor, &clock, &ids};
  rpc::StateDispatcher<Nothing> dispatcher{
      config::v1::DeployRequest::descriptor()->file()->service(0), &state, &access, &executor,
      &clock};
  LogService past{{{"config", &state.writer(), &dispatcher,
                    [this]() -> absl::StatusOr<std::unique_ptr<LogReader>> {
                      return std::make_unique<MemoryEventLog>(database, "config");
                    }}},
                  &access,
                  &executor,
                  &clock};
};

ListRecordsRequest Of(const std::string& org) {
  ListRecordsRequest request;
  request.set_org(org);
  return request;
}

std::vector<uint64_t> Positions(const ListRecordsResponse& response) {
  std::vector<uint64_t> positions;
  for (const auto& record : response.records()) positions.push_back(record.id().position());
  return positions;
}

using Numbers = std::vector<uint64_t>;

TEST_CASE("who reads an org sees its records, the administrator all of them", "[history]") {
  Platform platform;  // Position 1: LeaderStarted.
  platform.Write(Deleted("acme", "hello"), "acme");
  platform.Write(Deleted("globex", "rocket"), "globex");
  platform.Write(Deleted("acme", "notes"), "acme");

  CHECK(Positions(*platform.List(Of("acme"))) == Numbers{2, 4});
  CHECK(Positions(*platform.List(Of(""), 'r')) == Numbers{1, 2, 3, 4});
  CHECK(absl::IsPermissionDenied(platform.List(Of("globex")).status()));
  CHECK(absl::IsPermissionDenied(platform.List(Of("")).status()));
  // The two refusals are in the log, and seen by those whose org was asked for.
  const auto refused = platform.List(Of("globex"), 'r');
  REQUIRE(refused.ok());
  CHECK(Positions(*refused) == Numbers{3, 5});
  CHECK(refused->records(1).actor().principal() == "user/viewer");
  CHECK(refused->records(1).code() == static_cast<int>(absl::StatusCode::kPermissionDenied));
}

TEST_CASE("one call looks at a bounded number of records, and says how far it got", "[history]") {
  Platform platform;
  constexpr uint64_t kOthers = LogService::kLookedAtMax + 10;
  const uint64_t first = platform.Write(Deleted("acme", "hello"), "acme");
  for (uint64_t i = 0; i < kOthers; ++i) platform.Write(Deleted("globex", "rocket"), "globex");

  const auto newest = platform.List(Of("acme"));
  REQUIRE(newest.ok());
  CHECK(newest->records().empty());
  CHECK_FALSE(newest->complete());
  CHECK(newest->begin() > first);
  ListRecordsRequest before = Of("acme");
  before.set_before(newest->begin());
  const auto older = platform.List(before);
  REQUIRE(older.ok());
  CHECK(Positions(*older) == Numbers{first});
  CHECK(older->complete());
}

TEST_CASE("records are listed by number, time and actor", "[history]") {
  Platform platform;
  platform.Write(Deleted("acme", "a"), "acme");
  platform.Write(Deleted("acme", "b"), "acme", "user/bob");
  // The lease is renewed meanwhile.
  platform.executor.Advance(absl::Minutes(1));
  const absl::Time later = platform.clock.Now();
  platform.Write(Deleted("acme", "c"), "acme");

  ListRecordsRequest request = Of("acme");
  SECTION("the newest ones") {
    request.set_count_max(2);
    const auto listed = platform.List(request);
    CHECK(Positions(*listed) == Numbers{3, 4});
    CHECK_FALSE(listed->complete());
  }
  SECTION("since a time") {
    request.mutable_since()->set_seconds(absl::ToUnixSeconds(later));
    const auto listed = platform.List(request);
    CHECK(Positions(*listed) == Numbers{4});
    CHECK(listed->complete());
  }
  SECTION("by who asked") {
    request.mutable_filter()->set_actor("user/bob");
    CHECK(Positions(*platform.List(request)) == Numbers{3});
  }
  SECTION("by what they are about") {
    request.mutable_filter()->set_resource("b/production");
    CHECK(Positions(*platform.List(request)) == Numbers{3});
  }
}

TEST_CASE("the records of a log that was cut are listed and followed from there", "[history]") {
  Platform platform;
  constexpr uint64_t kBefore = LogService::kChunkRecords + 10;
  for (uint64_t i = 0; i < kBefore; ++i) platform.Write(Deleted("acme", "hello"), "acme");
  absl::Status cut = absl::UnknownError("not cut");
  LogWriter& writer = platform.state.writer();
  writer.EnqueueSave([&](absl::StatusOr<SavedState> base) {
    writer.EnqueueCut(*base, platform.clock.Now(), [&](absl::Status done) { cut = done; });
  });
  platform.executor.RunUntilIdle();
  REQUIRE(cut == absl::OkStatus());
  const uint64_t record_of_cut = kBefore + 2;
  const uint64_t next = platform.Write(Deleted("acme", "hello"), "acme");
  for (const bool erased : {false, true}) {
    CAPTURE(erased);
    const auto all = platform.List(Of(""), 'r');
    REQUIRE(all.status() == absl::OkStatus());
    CHECK(Positions(*all) == Numbers{record_of_cut, next});
    CHECK(all->records(0).method() == "LogCut");
    CHECK(all->complete());
    CHECK(all->cut_position() == kBefore + 1);
    ListRecordsRequest before = Of("");
    before.set_before(record_of_cut);
    const auto none = platform.List(before, 'r');
    REQUIRE(none.status() == absl::OkStatus());
    CHECK(none->records().empty());
    CHECK(none->complete());
    FollowRecordsRequest from_the_beginning;
    from_the_beginning.set_stream("config");
    from_the_beginning.set_org("acme");
    const auto followed = platform.Follow(from_the_beginning)->Take();
    REQUIRE(followed.has_value());
    REQUIRE(followed->records_size() == 1);
    CHECK(followed->records(0).id().position() == next);
    const auto verified = platform.Verify()->Take<VerifyLogResponse>();
    REQUIRE(verified.has_value());
    CHECK(verified->complete());
    CHECK(verified->cut_position() == kBefore + 1);
    platform.executor.Advance(absl::Seconds(5));
  }
}

TEST_CASE("a service that is not here is not, and none is a mistake", "[history]") {
  Platform platform;
  ListRecordsRequest request = Of("acme");
  request.set_stream("secrets");
  CHECK(absl::IsUnimplemented(platform.List(request).status()));
}

TEST_CASE("a follower is sent what comes, one message at a time", "[history]") {
  Platform platform;
  FollowRecordsRequest request;
  request.set_stream("config");
  request.set_org("acme");
  request.set_after(1);
  const std::shared_ptr<FakeStream> stream = platform.Follow(request);
  CHECK_FALSE(stream->Take().has_value());

  platform.Write(Deleted("globex", "rocket"), "globex");
  CHECK_FALSE(stream->Take().has_value());
  platform.Write(Deleted("acme", "hello"), "acme");
  platform.Write(Deleted("acme", "notes"), "acme");
  const auto first = stream->Take();
  REQUIRE(first.has_value());
  REQUIRE(first->records_size() == 1);
  CHECK(first->records(0).id().position() == 3);
  // What came while the first was not taken is read once it is.
  platform.executor.RunUntilIdle();
  const auto second = stream->Take();
  REQUIRE(second.has_value());
  CHECK(second->records(0).id().position() == 4);
  CHECK(second->position() == 4);
  platform.executor.RunUntilIdle();
  CHECK_FALSE(stream->Take().has_value());
  CHECK_FALSE(stream->ended.has_value());
}

TEST_CASE("whoever leads no more shows nothing, and ends who followed", "[history]") {
  Platform platform;
  platform.Write(Deleted("acme", "hello"), "acme");
  FollowRecordsRequest request;
  request.set_stream("config");
  request.set_org("acme");
  const std::shared_ptr<FakeStream> stream = platform.Follow(request);
  CHECK(stream->Take().has_value());
  CHECK_FALSE(stream->ended.has_value());

  MemoryEventLog other(platform.database, "config");
  platform.clock.Advance(LogWriter::Limits().lease_duration);
  REQUIRE(other.TakeLease({"other", "10.0.0.2:7443"}, absl::Hours(1)) == absl::OkStatus());
  platform.executor.RunUntilIdle();
  REQUIRE(stream->ended.has_value());
  CHECK(absl::IsUnavailable(*stream->ended));
  CHECK(ReasonOf(platform.List(Of("acme")).status()) == reason::kNotLeader);
}

TEST_CASE("the platform's administrator is told how far a log is verified", "[history]") {
  Platform platform;
  for (size_t i = 0; i < 2 * Verification::kStepRecords; ++i) {
    platform.Write(Deleted("acme", "hello"), "acme");
  }
  const uint64_t end = platform.state.writer().numbers().position;
  const std::shared_ptr<FakeStream> stream = platform.Verify();
  // One who takes nothing meanwhile is told the newest news.
  const auto news = stream->Take<VerifyLogResponse>();
  REQUIRE(news.has_value());
  CHECK(news->complete());
  CHECK(news->position() == end);
  CHECK(news->end() == end);
  CHECK(news->hash() == platform.log.Read(end - 1, 1)->front().hash);
  REQUIRE(stream->ended.has_value());
  CHECK(*stream->ended == absl::OkStatus());

  const std::shared_ptr<FakeStream> refused = platform.Verify('v');
  REQUIRE(refused->ended.has_value());
  CHECK(absl::IsPermissionDenied(*refused->ended));
}

TEST_CASE("a log that lost records under its service is found out", "[history]") {
  Platform platform;
  platform.Write(Deleted("acme", "hello"), "acme");
  platform.Write(Deleted("acme", "notes"), "acme");
  platform.database->LoseRecordsAfter("config", 2);
  const std::shared_ptr<FakeStream> stream = platform.Verify();
  REQUIRE(stream->ended.has_value());
  CHECK(absl::IsDataLoss(*stream->ended));
  CHECK_THAT(std::string(stream->ended->message()),
             Catch::Contains("stream config, position 3: the log ends before it"));
}

TEST_CASE("one log of a process is verified at a time, as long as somebody waits", "[history]") {
  Platform platform;
  platform.Write(Deleted("acme", "hello"), "acme");
  VerifyLogRequest request;
  request.set_stream("config");
  std::shared_ptr<FakeStream> first = platform.Open(request, 'r');
  const std::shared_ptr<FakeStream> second = platform.Open(request, 'r');
  SECTION("the second is refused, and welcome once the first is over") {
    platform.executor.RunUntilIdle();
    CHECK(*first->ended == absl::OkStatus());
    CHECK(absl::IsResourceExhausted(*second->ended));
    CHECK(*platform.Verify()->ended == absl::OkStatus());
  }
  SECTION("nobody waits for the first") {
    first = nullptr;
    platform.executor.RunUntilIdle();
    CHECK(*platform.Verify()->ended == absl::OkStatus());
  }
}

TEST_CASE("so many follow at once, and no more", "[history]") {
  Platform platform;
  FollowRecordsRequest request;
  request.set_stream("config");
  request.set_org("acme");
  std::vector<std::shared_ptr<FakeStream>> streams;
  for (size_t i = 0; i < LogService::kFollowersMax; ++i) {
    streams.push_back(platform.Follow(request));
    CHECK_FALSE(streams.back()->ended.has_value());
  }
  const auto one_more = platform.Follow(request);
  REQUIRE(one_more->ended.has_value());
  CHECK(absl::IsResourceExhausted(*one_more->ended));
  streams.pop_back();
  CHECK_FALSE(platform.Follow(request)->ended.has_value());
}

}  // namespace
}  // namespace berth
