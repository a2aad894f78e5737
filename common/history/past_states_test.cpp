#include "common/history/past_states.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/eventlog/model_counter.h"
#include "common/rpc/fake_services.h"
#include "common/rpc/state_dispatcher.h"
#include "common/status/error_details.h"
#include "common/testing/printers.h"
#include "common/time/timestamp.h"

namespace berth {
namespace {

using config::v1::GetEnvironmentRequest;
using config::v1::GetEnvironmentResponse;

// A service that says how often an app was promoted, now and then, on two executors, as it has two
// threads.
struct Service {
  Service() {
    rpc::SetToken(&access, std::string(32, 'v'), "user/viewer", world.clock.Now() + absl::Hours(9));
    access.Set("principal/user/viewer", rpc::PersonWith("user/viewer", auth::v1::ROLE_VIEWER));
    access.Advance(1);
    dispatcher.Query<GetEnvironmentRequest, GetEnvironmentResponse>(
        [](const Counter& state,
           const GetEnvironmentRequest& request) -> absl::StatusOr<GetEnvironmentResponse> {
          const uint64_t count = state.Count(request.environment().app());
          if (count == 0) return absl::NotFoundError("it was never promoted");
          GetEnvironmentResponse response;
          response.mutable_environment()->set_promotion(count);
          return response;
        });
  }

  static GetEnvironmentRequest Of(const std::string& app) {
    GetEnvironmentRequest request;
    request.mutable_environment()->set_org("acme");
    request.mutable_environment()->set_app(app);
    return request;
  }

  using Answer = std::shared_ptr<absl::StatusOr<GetEnvironmentResponse>>;

  Answer AskLater(const GetEnvironmentRequest& request) {
    rpc::IncomingCall call;
    call.method = &rpc::MethodFor(*GetEnvironmentRequest::descriptor());
    call.credentials.token = rpc::FormatToken(1, std::string(32, 'v'));
    auto answer = std::make_shared<absl::StatusOr<GetEnvironmentResponse>>(
        absl::InternalError("not answered"));
    dispatcher.Unary(call, request.SerializeAsString(), [answer](absl::StatusOr<std::string> got) {
      if (!got.ok()) {
        *answer = got.status();
        return;
      }
      *answer = GetEnvironmentResponse();
      (*answer)->ParseFromString(*got);
    });
    process.executor.RunUntilIdle();
    return answer;
  }

  absl::StatusOr<GetEnvironmentResponse> Ask(const GetEnvironmentRequest& request) {
    const Answer answer = AskLater(request);
    history.RunUntilIdle();
    return *answer;
  }

  World world;
  Process process{&world};
  ManualExecutor history{&world.clock};
  rpc::AccessView access;
  rpc::StateDispatcher<Counter> dispatcher{
      config::v1::DeployRequest::descriptor()->file()->service(0), &process.counter, &access,
      &process.executor, &world.clock};
  PastStates past{{{"counter", &process.counter.writer(), &dispatcher,
                    [this]() -> absl::StatusOr<std::unique_ptr<LogReader>> {
                      return std::make_unique<MemoryEventLog>(world.database, "counter");
                    }}},
                  &history,
                  &world.clock};
};

GetEnvironmentRequest At(GetEnvironmentRequest request, uint64_t position) {
  request.mutable_at()->set_position(position);
  return request;
}

TEST_CASE("a question about the past is put to the state of that time", "[history][past]") {
  Service service;  // Position 1: LeaderStarted.
  REQUIRE(service.process.Promote("a").ok());
  const absl::Time once = service.world.clock.Now();
  service.process.executor.Advance(absl::Minutes(1));
  REQUIRE(service.process.Promote("a").ok());

  const auto now = service.Ask(Service::Of("a"));
  REQUIRE(now.ok());
  CHECK(now->environment().promotion() == 2);
  CHECK_FALSE(now->has_as_of());

  const auto then = service.Ask(At(Service::Of("a"), 2));
  REQUIRE(then.ok());
  CHECK(then->environment().promotion() == 1);
  CHECK(then->as_of().position() == 2);

  GetEnvironmentRequest by_time = Service::Of("a");
  *by_time.mutable_at()->mutable_time() = ToTimestamp(once + absl::Seconds(1));
  const auto a_minute_ago = service.Ask(by_time);
  REQUIRE(a_minute_ago.ok());
  CHECK(a_minute_ago->environment().promotion() == 1);
  CHECK(FromTimestamp(a_minute_ago->as_of().time()) == once);

  CHECK(absl::IsNotFound(service.Ask(At(Service::Of("a"), 1)).status()));
  CHECK(absl::IsOutOfRange(service.Ask(At(Service::Of("a"), 99)).status()));
}

TEST_CASE("who may not read an org now may not read its past", "[history][past]") {
  Service service;
  REQUIRE(service.process.Promote("a").ok());
  GetEnvironmentRequest request = At(Service::Of("a"), 2);
  request.mutable_environment()->set_org("globex");
  CHECK(absl::IsPermissionDenied(service.Ask(request).status()));
}

TEST_CASE("the writer goes on while the past is replayed", "[history][past]") {
  Service service;
  REQUIRE(service.process.Promote("a").ok());
  const Service::Answer then = service.AskLater(At(Service::Of("a"), 2));
  REQUIRE(service.process.Promote("a").ok());
  CHECK(absl::IsInternal(then->status()));
  service.history.RunUntilIdle();
  REQUIRE(then->ok());
  CHECK((*then)->environment().promotion() == 1);
}

TEST_CASE("so many moments are replayed at once, and no more", "[history][past]") {
  Service service;
  REQUIRE(service.process.Promote("a").ok());
  std::vector<Service::Answer> answers;
  for (size_t i = 0; i < PastStates::kReplaysMax + 1; ++i) {
    answers.push_back(service.AskLater(At(Service::Of("a"), 2)));
  }
  service.history.RunUntilIdle();
  const Service::Answer refused = answers.back();
  CHECK(absl::IsResourceExhausted(refused->status()));
  answers.pop_back();
  for (const Service::Answer& answer : answers) CHECK(answer->ok());
  CHECK(service.Ask(At(Service::Of("a"), 2)).ok());
}

TEST_CASE("whoever leads no more shows no past", "[history][past]") {
  Service service;
  REQUIRE(service.process.Promote("a").ok());
  MemoryEventLog other(service.world.database, "counter");
  service.world.clock.Advance(LogWriter::Limits().lease_duration);
  REQUIRE(other.TakeLease({"other", "10.0.0.2:7443"}, absl::Hours(1)).ok());
  service.process.executor.RunUntilIdle();
  CHECK(ReasonOf(service.Ask(At(Service::Of("a"), 2)).status()) == reason::kNotLeader);
}

}  // namespace
}  // namespace berth
