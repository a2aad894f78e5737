#include "common/rpc/gate.h"

#include <google/protobuf/message.h>

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "berth/config/v1/config.pb.h"
#include "berth/edge_router/v1/edge_router.pb.h"
#include "berth/eventlog/v1/log.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "common/clock/manual_clock.h"
#include "common/executor/manual_executor.h"
#include "common/rpc/fake_services.h"
#include "common/status/error_details.h"
#include "common/testing/printers.h"

namespace berth::rpc {
namespace {

constexpr uint64_t kPosition = 100;  // Of the access view.

std::string Bytes32(char c) { return std::string(32, c); }

std::vector<const google::protobuf::ServiceDescriptor*> Services() {
  std::vector<const google::protobuf::ServiceDescriptor*> services;
  for (const auto* file : {auth::v1::LoginRequest::descriptor()->file(),
                           config::v1::DeployRequest::descriptor()->file(),
                           scheduler::v1::ReportRequest::descriptor()->file(),
                           edge_router::v1::ListRoutesRequest::descriptor()->file(),
                           eventlog::v1::ListRecordsRequest::descriptor()->file(),
                           secrets::v1::PutSecretRequest::descriptor()->file()}) {
    REQUIRE(file->service_count() == 1);
    services.push_back(file->service(0));
  }
  return services;
}

// A platform with one member of every kind, and how each of them calls.
struct Platform {
  Platform() {
    auth::v1::Principal root;
    root.set_name("user/root");
    root.set_platform_admin(true);
    AddPerson('r', "root", root.SerializeAsString());
    AddPerson('v', "viewer", PersonWith("user/viewer", auth::v1::ROLE_VIEWER));
    AddPerson('d', "developer", PersonWith("user/developer", auth::v1::ROLE_DEVELOPER));
    AddPerson('a', "admin", PersonWith("user/admin", auth::v1::ROLE_ADMIN));
    AddMachine('h', "host", auth::v1::MACHINE_KIND_HOST);
    AddMachine('e', "edge", auth::v1::MACHINE_KIND_EDGE);
    AddMachine('s', "service", auth::v1::MACHINE_KIND_SERVICE);
    AddMachine('f', "frozen", auth::v1::MACHINE_KIND_HOST, auth::v1::MACHINE_STATUS_UNKNOWN);
    callers["nobody"] = {};
    callers["stranger"].identity_key = Bytes32('x');
    access.Advance(kPosition);
  }

  void AddPerson(char secret, const std::string& name, const std::string& principal) {
    access.Set("principal/user/" + name, principal);
    SetToken(&access, Bytes32(secret), "user/" + name, clock.Now() + absl::Hours(1));
    callers[name].token = FormatToken(kPosition, Bytes32(secret));
  }

  void AddMachine(char key, const std::string& name, auth::v1::MachineKind kind,
                  auth::v1::MachineStatus status = auth::v1::MACHINE_STATUS_ACTIVE) {
    SetMachine(&access, Bytes32(key), kind, "m", status);
    callers[name].identity_key = Bytes32(key);
  }

  absl::Status Try(const Credentials& credentials, const Method& method,
                   const google::protobuf::Message& request) const {
    const Gate gate(&access);
    const absl::StatusOr<Caller> caller = gate.Identify(credentials, clock.Now());
    return caller.ok() ? gate.Permit(*caller, method, request) : caller.status();
  }

  ManualClock clock;
  ManualExecutor executor{&clock};
  AccessView access;
  std::map<std::string, Credentials> callers;
};

// The method's request about this org.
std::unique_ptr<google::protobuf::Message> RequestAbout(const Method& method,
                                                        const std::string& org) {
  auto* factory = google::protobuf::MessageFactory::generated_factory();
  std::unique_ptr<google::protobuf::Message> request(
      factory->GetPrototype(method.descriptor->input_type())->New());
  google::protobuf::Message* part = request.get();
  for (const auto* field : method.org_field) {
    if (field == method.org_field.back()) {
      part->GetReflection()->SetString(part, field, org);
    } else {
      part = part->GetReflection()->MutableMessage(part, field);
    }
  }
  return request;
}

TEST_CASE("every RPC of every service declares what it needs", "[rpc][gate]") {
  for (const auto* service : Services()) {
    CHECK(CheckDeclarations(*service) == absl::OkStatus());
  }
}

TEST_CASE("every RPC lets in exactly those whom its permission is for", "[rpc][gate]") {
  using namespace options::v1;
  const std::string people = "viewer developer admin root";
  // Who is let in, about the org that the people have their roles in.
  const std::map<Permission, std::string> allowed = {
      {PERMISSION_PUBLIC, people + " host edge service frozen nobody stranger"},
      {PERMISSION_AUTHENTICATED, people + " host edge service"},
      {PERMISSION_READ, people},
      {PERMISSION_DEPLOY, "developer admin root"},
      {PERMISSION_SCALE, "developer admin root"},
      {PERMISSION_LOGS, "developer admin root"},
      {PERMISSION_EXEC, "developer admin root"},
      {PERMISSION_ROUTE_WRITE, "developer admin root"},
      {PERMISSION_SECRET_WRITE, "developer admin root"},
      {PERMISSION_SECRET_READ, "admin root"},
      {PERMISSION_ADMIN, "admin root"},
      {PERMISSION_PLATFORM_ADMIN, "root"},
      {PERMISSION_HOST, "host"},
      {PERMISSION_EDGE, "edge"},
      {PERMISSION_SERVICE, "service"},
  };
  const Platform platform;
  for (const auto* service : Services()) {
    for (const Method& method : MethodsOf(*service)) {
      const std::set<std::string> let_in = absl::StrSplit(allowed.at(method.permission), ' ');
      for (const auto& [name, credentials] : platform.callers) {
        INFO(name << " calls " << method.full_name);
        const absl::Status here = platform.Try(credentials, method, *RequestAbout(method, "acme"));
        CHECK(here.ok() == let_in.contains(name));
        if (!here.ok()) {
          const bool unknown = name == "nobody" || name == "stranger";
          CHECK(here.code() == (unknown ? absl::StatusCode::kUnauthenticated
                                        : absl::StatusCode::kPermissionDenied));
        }
        if (method.org_field.empty()) continue;
        const absl::Status elsewhere =
            platform.Try(credentials, method, *RequestAbout(method, "globex"));
        CHECK(elsewhere.ok() == (name == "root"));
      }
    }
  }
}

TEST_CASE("an org that is not named is nobody's", "[rpc][gate]") {
  const Platform platform;
  const Method& method = MethodFor(*config::v1::GetEnvironmentRequest::descriptor());
  CHECK(platform.Try(platform.callers.at("admin"), method, config::v1::GetEnvironmentRequest())
            .code() == absl::StatusCode::kPermissionDenied);
}

TEST_CASE("a token is as good as what auth says of it now", "[rpc][gate]") {
  Platform platform;
  const Gate gate(&platform.access);
  const std::string good = platform.callers.at("viewer").token;
  auto identify = [&](const std::string& token) {
    return gate.Identify({"", token}, platform.clock.Now()).status();
  };
  REQUIRE(identify(good) == absl::OkStatus());
  SECTION("expired") {
    platform.clock.Advance(absl::Hours(1));
    CHECK(ReasonOf(identify(good)) == reason::kTokenInvalid);
  }
  SECTION("unknown") {
    CHECK(identify(FormatToken(1, Bytes32('?'))).code() == absl::StatusCode::kUnauthenticated);
  }
  SECTION("revoked") {
    platform.access.Set("token/" + absl::BytesToHexString(TokenHash(Bytes32('v'))), std::nullopt);
    CHECK(identify(good).code() == absl::StatusCode::kUnauthenticated);
  }
  SECTION("of somebody who is gone") {
    platform.access.Set("principal/user/viewer", std::nullopt);
    CHECK(identify(good).code() == absl::StatusCode::kUnauthenticated);
  }
  SECTION("malformed") {
    const std::string bad =
        GENERATE_COPY(as<std::string>(), "x", "berth_", "berth_1_", good + "0", good + "_0",
                      good.substr(0, good.size() - 1), "Berth" + good.substr(5),
                      "berth_-1_" + std::string(64, '0'), "berth_1_" + std::string(64, 'A'));
    CHECK(identify(bad).code() == absl::StatusCode::kUnauthenticated);
  }
  SECTION("a token that is no good is not made up for by a machine's key") {
    const Credentials both{platform.callers.at("host").identity_key, "berth_1_x"};
    CHECK(gate.Identify(both, platform.clock.Now()).status().code() ==
          absl::StatusCode::kUnauthenticated);
  }
}

TEST_CASE("a token gives no more than its role, and nothing of the platform", "[rpc][gate]") {
  Platform platform;
  auth::v1::Principal person;
  person.set_name("user/root");
  person.set_platform_admin(true);
  for (const char* org : {"acme", "globex"}) {
    auth::v1::RoleBinding* binding = person.add_bindings();
    binding->set_org(org);
    binding->set_role(org[0] == 'a' ? auth::v1::ROLE_ADMIN : auth::v1::ROLE_VIEWER);
  }
  platform.access.Set("principal/user/root", person.SerializeAsString());
  auth::v1::Token token;
  token.set_principal("user/root");
  token.mutable_expire_time()->set_seconds(
      absl::ToUnixSeconds(platform.clock.Now() + absl::Hours(1)));
  token.set_role(auth::v1::ROLE_DEVELOPER);
  platform.access.Set("token/" + absl::BytesToHexString(TokenHash(Bytes32('t'))),
                      token.SerializeAsString());
  const Credentials narrow{"", FormatToken(1, Bytes32('t'))};
  const auto caller = Gate(&platform.access).Identify(narrow, platform.clock.Now());
  REQUIRE(caller.ok());
  CHECK(caller->token_hash == TokenHash(Bytes32('t')));
  const Method& deploy = MethodFor(*config::v1::DeployRequest::descriptor());
  const Method& members = MethodFor(*auth::v1::AddMemberRequest::descriptor());
  const Method& orgs = MethodFor(*auth::v1::CreateOrgRequest::descriptor());
  CHECK(platform.Try(narrow, deploy, *RequestAbout(deploy, "acme")).ok());
  CHECK_FALSE(platform.Try(narrow, deploy, *RequestAbout(deploy, "globex")).ok());
  CHECK_FALSE(platform.Try(narrow, members, *RequestAbout(members, "acme")).ok());
  CHECK_FALSE(platform.Try(narrow, orgs, *RequestAbout(orgs, "acme")).ok());
}

TEST_CASE("one-time tokens are for one purpose", "[rpc][token]") {
  const std::string fingerprint(64, 'a');
  const std::string token = FormatOneTimeToken(kJoinPurpose, fingerprint, Bytes32('s'));
  const auto parts = ParseOneTimeToken(kJoinPurpose, token);
  REQUIRE(parts.has_value());
  CHECK(parts->ca_fingerprint == fingerprint);
  CHECK(parts->hash == TokenHash(Bytes32('s')));
  CHECK_FALSE(ParseOneTimeToken(kLoginPurpose, token).has_value());
  CHECK_FALSE(ParseToken(token).has_value());
  CHECK_FALSE(ParseOneTimeToken(kJoinPurpose, token + "0").has_value());
  CHECK_FALSE(ParseOneTimeToken(kJoinPurpose, token + "_").has_value());
  CHECK_FALSE(ParseOneTimeToken(kJoinPurpose, FormatToken(1, Bytes32('s'))).has_value());
}

TEST_CASE("entries that replace all others leave nobody else", "[rpc][gate]") {
  Platform platform;
  platform.access.Replace(
      {{"principal/user/viewer", PersonWith("user/viewer", auth::v1::ROLE_VIEWER)}});
  CHECK(platform.access.FindPrincipal("user/viewer").has_value());
  CHECK_FALSE(platform.access.FindPrincipal("user/root").has_value());
  CHECK_FALSE(platform.access.FindMachine(Bytes32('h')).has_value());
  CHECK_FALSE(platform.access.FindToken(absl::BytesToHexString(TokenHash(Bytes32('v')))));
}

TEST_CASE("before auth has been heard nobody is let in", "[rpc][gate]") {
  const AccessView access;
  const absl::Status status = Gate(&access).Identify({}, absl::UnixEpoch()).status();
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(ReasonOf(status) == reason::kNotReady);
  CHECK(RetryDelayOf(status).has_value());
}

// A stream as the transport has it, on one thread.
class RecordingStream : public Stream {
 public:
  void Begin(std::shared_ptr<Conversation> begun) override { conversation = std::move(begun); }
  void Wake() override { ++wakes; }
  void End(absl::Status status) override { ended = std::move(status); }

  std::shared_ptr<Conversation> conversation;
  int wakes = 0;
  std::optional<absl::Status> ended;
};

struct Calls : Platform {
  absl::StatusOr<std::string> Unary(const google::protobuf::Message& request,
                                    const std::string& caller) {
    absl::StatusOr<std::string> answer = absl::UnknownError("no answer yet");
    UnaryLater(request, callers.at(caller), &answer);
    executor.RunUntilIdle();
    return answer;
  }

  void UnaryLater(const google::protobuf::Message& request, const Credentials& credentials,
                  absl::StatusOr<std::string>* answer) {
    UnaryBytes(MethodFor(*request.GetDescriptor()), request.SerializeAsString(), credentials,
               answer);
  }

  void UnaryBytes(const Method& method, const std::string& bytes, const Credentials& credentials,
                  absl::StatusOr<std::string>* answer) {
    IncomingCall call;
    call.method = &method;
    call.credentials = credentials;
    call.address = "ipv4:192.0.2.1:5";
    call.request_id = "r1";
    config.dispatcher().Unary(call, bytes,
                              [answer](absl::StatusOr<std::string> got) { *answer = got; });
  }

  std::shared_ptr<RecordingStream> Open(const std::string& caller) {
    const config::v1::WatchEnvironmentsRequest request;
    IncomingCall call;
    call.method = &MethodFor(*request.GetDescriptor());
    call.credentials = callers.at(caller);
    auto stream = std::make_shared<RecordingStream>();
    config.dispatcher().Open(call, request.SerializeAsString(), stream);
    executor.RunUntilIdle();
    return stream;
  }

  FakeConfig config{&access, &executor, &clock};
};

config::v1::ListEnvironmentsRequest ListOf(const std::string& org) {
  config::v1::ListEnvironmentsRequest request;
  request.set_org(org);
  return request;
}

TEST_CASE("a call that is let in comes with its caller", "[rpc][dispatcher]") {
  Calls calls;
  Call seen;
  calls.config.list_environments = [&](const Call& call, const auto&) {
    seen = call;
    return config::v1::ListEnvironmentsResponse();
  };
  CHECK(calls.config.dispatcher().Check() == absl::OkStatus());
  CHECK(calls.Unary(ListOf("acme"), "viewer").ok());
  CHECK(seen.caller.principal == "user/viewer");
  CHECK(seen.origin.principal == "user/viewer");
  CHECK(seen.origin.method == "berth.config.v1.ConfigService.ListEnvironments");
  CHECK(seen.origin.address == "ipv4:192.0.2.1:5");
  CHECK(seen.origin.request_id == "r1");
  CHECK_FALSE(seen.origin.fingerprint.empty());
}

TEST_CASE("a refusal is recorded where it is known whose", "[rpc][dispatcher]") {
  Calls calls;
  CHECK(calls.Unary(config::v1::ReportRolloutRequest(), "viewer").status().code() ==
        absl::StatusCode::kPermissionDenied);
  REQUIRE(calls.config.refusals.size() == 1);
  CHECK(calls.config.refusals[0].principal == "user/viewer");
  CHECK(calls.Unary(ListOf("acme"), "nobody").status().code() ==
        absl::StatusCode::kUnauthenticated);
  CHECK(calls.Unary(ListOf("acme"), "stranger").status().code() ==
        absl::StatusCode::kUnauthenticated);
  CHECK(calls.config.refusals.size() == 1);
}

TEST_CASE("bytes that are not the request are refused before anything else", "[rpc][dispatcher]") {
  Calls calls;
  absl::StatusOr<std::string> answer = absl::UnknownError("no answer yet");
  const Method& method = MethodFor(*config::v1::ListEnvironmentsRequest::descriptor());
  const std::string bytes = GENERATE(as<std::string>(), "\x0a\x7f", "\xff\xff", "\x0a\x01\xff");
  calls.UnaryBytes(method, bytes, calls.callers.at("viewer"), &answer);
  CHECK(answer.status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a token that auth has just made waits until it is known here", "[rpc][dispatcher]") {
  Calls calls;
  Credentials credentials;
  credentials.token = FormatToken(kPosition + 1, Bytes32('n'));
  absl::StatusOr<std::string> answer = absl::UnknownError("no answer yet");
  calls.UnaryLater(ListOf("acme"), credentials, &answer);
  calls.executor.RunUntilIdle();
  REQUIRE(answer.status().code() == absl::StatusCode::kUnknown);
  SECTION("and is let in then") {
    SetToken(&calls.access, Bytes32('n'), "user/viewer", calls.clock.Now() + absl::Hours(1));
    calls.access.Advance(kPosition + 1);
    calls.executor.RunUntilIdle();
    CHECK(answer.status() == absl::OkStatus());
    calls.executor.Advance(Dispatcher::kTokenWaitMax);
    CHECK(answer.status() == absl::OkStatus());
  }
  SECTION("for a moment only") {
    calls.executor.Advance(Dispatcher::kTokenWaitMax - absl::Nanoseconds(1));
    CHECK(answer.status().code() == absl::StatusCode::kUnknown);
    calls.executor.Advance(absl::Nanoseconds(1));
    CHECK(answer.status().code() == absl::StatusCode::kUnauthenticated);
  }
}

TEST_CASE("tokens that nobody has checked cannot make calls pile up", "[rpc][dispatcher]") {
  Calls calls;
  Credentials credentials;
  credentials.token = FormatToken(~uint64_t{0}, Bytes32('n'));
  constexpr size_t kCalls = 1000;
  std::vector<absl::StatusOr<std::string>> answers(kCalls, absl::UnknownError("no answer yet"));
  for (auto& answer : answers) calls.UnaryLater(ListOf("acme"), credentials, &answer);
  CHECK(answers.front().status().code() == absl::StatusCode::kUnknown);
  CHECK(answers.back().status().code() == absl::StatusCode::kUnauthenticated);
  calls.executor.Advance(Dispatcher::kTokenWaitMax);
  CHECK(answers.front().status().code() == absl::StatusCode::kUnauthenticated);
  // Who has given up makes room for others.
  answers.back() = absl::UnknownError("no answer yet");
  calls.UnaryLater(ListOf("acme"), credentials, &answers.back());
  CHECK(answers.back().status().code() == absl::StatusCode::kUnknown);
}

TEST_CASE("an open stream ends when its caller may not have it any more", "[rpc][dispatcher]") {
  Calls calls;
  calls.config.watch_environments = [](const auto&, std::shared_ptr<Stream>) {};
  const auto stream = calls.Open("service");
  REQUIRE_FALSE(stream->ended.has_value());
  SECTION("not by a change that is not about it") {
    SetMachine(&calls.access, Bytes32('h'), auth::v1::MACHINE_KIND_HOST, "m",
               auth::v1::MACHINE_STATUS_UNKNOWN);
    calls.access.Advance(kPosition + 1);
    calls.executor.RunUntilIdle();
    CHECK_FALSE(stream->ended.has_value());
  }
  SECTION("because it was removed") {
    calls.access.Set("machine/" + absl::BytesToHexString(Bytes32('s')), std::nullopt);
    calls.access.Advance(kPosition + 1);
    calls.executor.RunUntilIdle();
    REQUIRE(stream->ended.has_value());
    CHECK(stream->ended->code() == absl::StatusCode::kUnauthenticated);
  }
  SECTION("because its key changed") {
    SetMachine(&calls.access, Bytes32('s'), auth::v1::MACHINE_KIND_SERVICE, "m",
               auth::v1::MACHINE_STATUS_UNKNOWN);
    calls.access.Advance(kPosition + 1);
    calls.executor.RunUntilIdle();
    REQUIRE(stream->ended.has_value());
    CHECK(ReasonOf(*stream->ended) == reason::kKeyChanged);
  }
}

TEST_CASE("a stream that access was taken from while it was opened ends", "[rpc][dispatcher]") {
  Calls calls;
  calls.config.watch_environments = [&](const auto&, std::shared_ptr<Stream>) {
    // As if auth were heard between the check and this moment.
    calls.access.Set("machine/" + absl::BytesToHexString(Bytes32('s')), std::nullopt);
    calls.access.Advance(kPosition + 1);
  };
  CHECK(calls.Open("service")->ended.has_value());
}

TEST_CASE("a stream that may not be opened ends at once", "[rpc][dispatcher]") {
  Calls calls;
  bool opened = false;
  calls.config.watch_environments = [&](const auto&, std::shared_ptr<Stream>) { opened = true; };
  const auto stream = calls.Open("host");
  REQUIRE(stream->ended.has_value());
  CHECK(stream->ended->code() == absl::StatusCode::kPermissionDenied);
  CHECK_FALSE(opened);
  CHECK(calls.config.refusals.size() == 1);
}

}  // namespace
}  // namespace berth::rpc
