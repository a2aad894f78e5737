#include "services/auth/service.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "common/clock/manual_clock.h"
#include "common/crypto/machine_identity.h"
#include "common/eventlog/memory_event_log.h"
#include "common/executor/manual_executor.h"
#include "common/files/atomic_file.h"
#include "common/ids/random_id_source.h"
#include "common/rpc/token.h"
#include "common/status/error_details.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth::auth {
namespace {

// What survives a process.
struct World {
  ManualClock clock;
  std::shared_ptr<MemoryDatabase> database = std::make_shared<MemoryDatabase>(&clock);
  berth::testing::TempDir folder;
  KeyRing key_ring = *KeyRing::LoadOrCreate(folder.File("key-ring"));
};

// One life of the service.
struct Auth {
  explicit Auth(World* in) : world(in) {
    service.Start("", [this](absl::Status status) { started = std::move(status); });
    executor.RunUntilIdle();
    REQUIRE(started == absl::OkStatus());
  }

  template <typename Response, typename Request>
  absl::StatusOr<Response> Call(const Request& request, const rpc::Credentials& credentials = {},
                                const std::string& request_id = "") {
    absl::StatusOr<std::string> bytes = absl::UnknownError("no answer");
    rpc::IncomingCall call;
    call.method = &rpc::MethodFor(*Request::descriptor());
    call.credentials = credentials;
    call.request_id = request_id;
    service.dispatcher().Unary(call, request.SerializeAsString(),
                               [&](absl::StatusOr<std::string> got) { bytes = std::move(got); });
    executor.RunUntilIdle();
    if (!bytes.ok()) return bytes.status();
    Response response;
    REQUIRE(response.ParseFromString(*bytes));
    return response;
  }

  absl::StatusOr<v1::LoginResponse> Login(const std::string& request_id = "") {
    v1::LoginRequest request;
    request.set_bootstrap_token(File("bootstrap-token"));
    return Call<v1::LoginResponse>(request, {}, request_id);
  }

  std::string File(const std::string& name) const {
    const absl::StatusOr<std::string> text = ReadFile(world->folder.File(name), 4096);
    REQUIRE(text.ok());
    return std::string(absl::StripAsciiWhitespace(*text));
  }

  size_t Records() { return log.Read(0, 1000)->size(); }

  World* const world;
  RandomIdSource ids;
  MemoryEventLog log{world->database, "auth"};
  ManualExecutor executor{&world->clock};
  absl::Status started = absl::UnknownError("not started");
  Service service{{&log,
                   &executor,
                   &world->clock,
                   &ids,
                   &world->key_ring,
                   world->folder.path(),
                   {"scheduler"}}};
};

v1::EnrolRequest EnrolWith(const MachineIdentity& identity, const std::string& join_token) {
  v1::EnrolRequest request;
  request.set_join_token(join_token);
  const PublicKeys& keys = identity.public_keys();
  request.mutable_keys()->set_identity(keys.identity);
  request.mutable_keys()->set_wireguard(keys.wireguard);
  request.mutable_keys()->set_sealing(keys.sealing);
  request.mutable_keys()->set_wireguard_signature(keys.wireguard_signature);
  request.mutable_keys()->set_sealing_signature(keys.sealing_signature);
  return request;
}

TEST_CASE("who signs in is let in, also after a restart", "[auth][service]") {
  World world;
  std::string token;
  std::string ca;
  {
    Auth auth(&world);
    CHECK(auth.Call<v1::WhoAmIResponse>(v1::WhoAmIRequest()).status().code() ==
          absl::StatusCode::kUnauthenticated);
    const auto login = auth.Login();
    REQUIRE(login.status() == absl::OkStatus());
    token = login->token();
    const auto me = auth.Call<v1::WhoAmIResponse>(v1::WhoAmIRequest(), {"", token});
    REQUIRE(me.status() == absl::OkStatus());
    CHECK(me->principal() == "user/admin");
    CHECK(me->platform_admin());
    ca = auth.service.ca_certificate();
    CHECK(auth.File("ca.pem") == absl::StripAsciiWhitespace(ca));
  }
  Auth auth(&world);
  CHECK(auth.Call<v1::WhoAmIResponse>(v1::WhoAmIRequest(), {"", token}).ok());
  CHECK(auth.service.ca_certificate() == ca);
  SECTION("until the session has ended") {
    world.clock.Advance(State::kSessionDuration);
    auth.executor.RunUntilIdle();  // Its lease has lapsed meanwhile.
    CHECK(auth.Call<v1::WhoAmIResponse>(v1::WhoAmIRequest(), {"", token}).status().code() ==
          absl::StatusCode::kUnauthenticated);
  }
}

TEST_CASE("a repeated login gets the same token, another one another", "[auth][service]") {
  World world;
  std::string token;
  {
    Auth auth(&world);
    token = auth.Login("request-1")->token();
    CHECK(auth.Login("request-1")->token() == token);
    CHECK(auth.Login("request-2")->token() != token);
    CHECK(auth.Login()->token() != auth.Login()->token());
  }
  CHECK(Auth(&world).Login("request-1")->token() == token);
}

TEST_CASE("a bootstrap token that was lost is made anew by a restart", "[auth][service]") {
  World world;
  std::string first;
  {
    Auth auth(&world);
    first = auth.File("bootstrap-token");
    REQUIRE(std::filesystem::remove(world.folder.File("bootstrap-token")));
  }
  Auth auth(&world);
  CHECK(auth.File("bootstrap-token") != first);
  CHECK(auth.Login().status() == absl::OkStatus());
  v1::LoginRequest login;
  login.set_bootstrap_token(first);
  CHECK(auth.Call<v1::LoginResponse>(login).status().code() == absl::StatusCode::kPermissionDenied);
}

TEST_CASE("a person is invited, signs in, and does what the role allows", "[auth][service]") {
  World world;
  Auth auth(&world);
  const rpc::Credentials admin{"", auth.Login()->token()};
  v1::AddMemberRequest add;
  add.set_org("home");
  add.set_principal("user/ada");
  add.set_role(v1::ROLE_VIEWER);
  const auto invited = auth.Call<v1::AddMemberResponse>(add, admin, "request-1");
  REQUIRE(invited.status() == absl::OkStatus());
  CHECK(auth.Call<v1::AddMemberResponse>(add, admin, "request-1")->login_token() ==
        invited->login_token());
  CHECK(rpc::ParseOneTimeToken(rpc::kLoginPurpose, invited->login_token())->ca_fingerprint ==
        *Fingerprint(auth.service.ca_certificate()));
  v1::LoginRequest login;
  login.set_login_token(invited->login_token());
  const auto session = auth.Call<v1::LoginResponse>(login);
  REQUIRE(session.status() == absl::OkStatus());
  CHECK(session->principal() == "user/ada");
  CHECK(auth.Call<v1::LoginResponse>(login).status().code() == absl::StatusCode::kPermissionDenied);
  const rpc::Credentials ada{"", session->token()};
  v1::ListMembersRequest members;
  members.set_org("home");
  CHECK(auth.Call<v1::ListMembersResponse>(members, ada)->members_size() == 2);
  add.set_principal("user/bob");
  CHECK(auth.Call<v1::AddMemberResponse>(add, ada).status().code() ==
        absl::StatusCode::kPermissionDenied);
  SECTION("and a changed role counts at once") {
    v1::SetRoleRequest promote;
    promote.set_org("home");
    promote.set_principal("user/ada");
    promote.set_role(v1::ROLE_ADMIN);
    REQUIRE(auth.Call<v1::SetRoleResponse>(promote, admin).ok());
    CHECK(auth.Call<v1::AddMemberResponse>(add, ada).ok());
  }
  SECTION("until the person signs out") {
    CHECK(auth.Call<v1::LogoutResponse>(v1::LogoutRequest(), ada).ok());
    CHECK(auth.Call<v1::ListMembersResponse>(members, ada).status().code() ==
          absl::StatusCode::kUnauthenticated);
  }
  SECTION("until the person is removed") {
    v1::RemoveMemberRequest remove;
    remove.set_org("home");
    remove.set_principal("user/ada");
    REQUIRE(auth.Call<v1::RemoveMemberResponse>(remove, admin).ok());
    CHECK(auth.Call<v1::ListMembersResponse>(members, ada).status().code() ==
          absl::StatusCode::kUnauthenticated);
  }
}

TEST_CASE("a token gives no more than the role it was made with", "[auth][service]") {
  World world;
  Auth auth(&world);
  const rpc::Credentials admin{"", auth.Login()->token()};
  v1::CreateTokenRequest create;
  create.set_name("ci");
  create.set_role(v1::ROLE_VIEWER);
  const auto token = auth.Call<v1::CreateTokenResponse>(create, admin);
  REQUIRE(token.status() == absl::OkStatus());
  const rpc::Credentials ci{"", token->token()};
  const auto me = auth.Call<v1::WhoAmIResponse>(v1::WhoAmIRequest(), ci);
  REQUIRE(me.status() == absl::OkStatus());
  CHECK(me->principal() == "user/admin");
  CHECK_FALSE(me->platform_admin());
  CHECK(me->bindings(0).role() == v1::ROLE_VIEWER);
  v1::CreateOrgRequest org;
  org.set_org("acme");
  CHECK(auth.Call<v1::CreateOrgResponse>(org, ci).status().code() ==
        absl::StatusCode::kPermissionDenied);
  create.set_name("more");
  CHECK(ReasonOf(auth.Call<v1::CreateTokenResponse>(create, ci).status()) ==
        reason::kSessionNeeded);
  v1::RevokeTokenRequest revoke;
  revoke.set_token("ci");
  REQUIRE(auth.Call<v1::RevokeTokenResponse>(revoke, admin).ok());
  CHECK(auth.Call<v1::WhoAmIResponse>(v1::WhoAmIRequest(), ci).status().code() ==
        absl::StatusCode::kUnauthenticated);
}

TEST_CASE("what has expired is forgotten in time", "[auth][service]") {
  World world;
  Auth auth(&world);
  const rpc::Credentials admin{"", auth.Login()->token()};
  v1::CreateTokenRequest create;
  create.set_name("ci");
  create.mutable_lifetime()->set_seconds(1);
  REQUIRE(auth.Call<v1::CreateTokenResponse>(create, admin).ok());
  CHECK(auth.Call<v1::ListTokensResponse>(v1::ListTokensRequest(), admin)->tokens_size() == 2);
  auth.executor.Advance(absl::Minutes(1));
  CHECK(auth.Call<v1::ListTokensResponse>(v1::ListTokensRequest(), admin)->tokens_size() == 1);
  const size_t before = auth.Records();
  auth.executor.Advance(absl::Minutes(1));
  CHECK(auth.Records() == before);
}

TEST_CASE("whoever is nobody cannot fill the log", "[auth][service]") {
  World world;
  Auth auth(&world);
  const size_t before = auth.Records();
  v1::LoginRequest login;
  login.set_bootstrap_token("a guess");
  CHECK(auth.Call<v1::LoginResponse>(login, {}, "request-1").status().code() ==
        absl::StatusCode::kPermissionDenied);
  const MachineIdentity identity = *MachineIdentity::LoadOrCreate(world.folder.File("machine"));
  CHECK(auth.Call<v1::EnrolResponse>(EnrolWith(identity, "a guess"),
                                     {identity.public_keys().identity, ""}, "request-2")
            .status()
            .code() == absl::StatusCode::kPermissionDenied);
  CHECK(auth.Records() == before);
}

TEST_CASE("machines join with the tokens they are given", "[auth][service]") {
  World world;
  Auth auth(&world);
  const rpc::Credentials admin{"", auth.Login()->token()};
  const MachineIdentity identity = *MachineIdentity::LoadOrCreate(world.folder.File("machine"));
  const rpc::Credentials machine{identity.public_keys().identity, ""};
  SECTION("a host, with the one that a person asked for") {
    v1::CreateJoinTokenRequest request;
    request.set_org("home");
    request.set_kind(v1::MACHINE_KIND_HOST);
    request.set_name("alpha");
    const auto token = auth.Call<v1::CreateJoinTokenResponse>(request, admin);
    REQUIRE(token.status() == absl::OkStatus());
    const auto member =
        auth.Call<v1::EnrolResponse>(EnrolWith(identity, token->join_token()), machine);
    REQUIRE(member.status() == absl::OkStatus());
    CHECK(member->machine().name() == "alpha");
    CHECK(member->ca_certificate() == auth.service.ca_certificate());
    CHECK(member->server_certificate().empty());
    const auto me = auth.Call<v1::WhoAmIResponse>(v1::WhoAmIRequest(), machine);
    REQUIRE(me.status() == absl::OkStatus());
    CHECK(me->principal() == "host/alpha");
  }
  SECTION("a host, and other keys with the same token are refused, which is on record") {
    v1::CreateJoinTokenRequest request;
    request.set_org("home");
    request.set_kind(v1::MACHINE_KIND_HOST);
    request.set_name("alpha");
    const auto token = auth.Call<v1::CreateJoinTokenResponse>(request, admin);
    REQUIRE(token.status() == absl::OkStatus());
    CHECK(rpc::ParseOneTimeToken(rpc::kJoinPurpose, token->join_token())->ca_fingerprint ==
          *Fingerprint(auth.service.ca_certificate()));
    REQUIRE(auth.Call<v1::EnrolResponse>(EnrolWith(identity, token->join_token()), machine).ok());
    const MachineIdentity other = *MachineIdentity::LoadOrCreate(world.folder.File("other"));
    const size_t before = auth.Records();
    const auto refused =
        auth.Call<v1::EnrolResponse>(EnrolWith(other, token->join_token()),
                                     {other.public_keys().identity, ""}, "request-1")
            .status();
    CHECK(refused.code() == absl::StatusCode::kPermissionDenied);
    CHECK(ReasonOf(refused) == reason::kKeyChanged);
    CHECK(auth.Records() == before + 1);
  }
  SECTION("a service, with the one in the folder; it gets a certificate for its name only") {
    v1::EnrolRequest request = EnrolWith(identity, auth.File("join-tokens/scheduler"));
    request.add_addresses("auth.berth.internal");
    CHECK(auth.Call<v1::EnrolResponse>(request, machine).status().code() ==
          absl::StatusCode::kInvalidArgument);
    request.clear_addresses();
    request.add_addresses("192.0.2.7");
    const auto member = auth.Call<v1::EnrolResponse>(request, machine);
    REQUIRE(member.status() == absl::OkStatus());
    CHECK(*PublicKeyOfCertificate(member->server_certificate()) == identity.public_keys().identity);
  }
}

TEST_CASE("a refusal of somebody is on record", "[auth][service]") {
  World world;
  Auth auth(&world);
  const rpc::Credentials admin{"", auth.Login()->token()};
  const size_t before = auth.Records();
  v1::CreateJoinTokenRequest request;
  request.set_org("globex");
  request.set_kind(v1::MACHINE_KIND_HOST);
  request.set_name("alpha");
  CHECK(auth.Call<v1::CreateJoinTokenResponse>(request, admin).status().code() ==
        absl::StatusCode::kNotFound);
  CHECK(auth.Records() == before + 1);
}

}  // namespace
}  // namespace berth::auth
