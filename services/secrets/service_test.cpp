#include "services/secrets/service.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "common/clock/manual_clock.h"
#include "common/crypto/hash.h"
#include "common/crypto/machine_identity.h"
#include "common/eventlog/memory_event_log.h"
#include "common/executor/manual_executor.h"
#include "common/ids/random_id_source.h"
#include "common/rpc/fake_services.h"
#include "common/secrets/bundle.h"
#include "common/secrets/grant.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth::secrets {
namespace {

// Found nowhere but where it is put.
constexpr char kCanary[] = "canary-5f1dcb1e-93ab-4a52-9d3a-3a1f5ce0b0d7";

// What survives a process, and whom its gate knows.
struct World {
  World() {
    SetToken("user/developer", auth::v1::ROLE_DEVELOPER, std::string(32, 'd'));
    SetToken("user/admin", auth::v1::ROLE_ADMIN, std::string(32, 'a'));
    SetToken("user/viewer", auth::v1::ROLE_VIEWER, std::string(32, 'v'));
    AddMachine(auth::v1::MACHINE_KIND_HOST, "host-a", host.public_keys());
    AddMachine(auth::v1::MACHINE_KIND_HOST, "host-b", other_host.public_keys());
    AddMachine(auth::v1::MACHINE_KIND_SERVICE, "scheduler", scheduler.public_keys());
    AddMachine(auth::v1::MACHINE_KIND_SERVICE, "config", config.public_keys());
    access.Advance(1);
  }

  void SetToken(const std::string& principal, auth::v1::Role role, const std::string& secret) {
    access.Set("principal/" + principal, rpc::PersonWith(principal, role));
    rpc::SetToken(&access, secret, principal, clock.Now() + absl::Hours(1));
  }

  void AddMachine(auth::v1::MachineKind kind, const std::string& name, const PublicKeys& keys,
                  auth::v1::MachineStatus status = auth::v1::MACHINE_STATUS_ACTIVE) {
    auth::v1::Machine machine;
    machine.set_kind(kind);
    machine.set_name(name);
    machine.set_status(status);
    machine.mutable_keys()->set_identity(keys.identity);
    machine.mutable_keys()->set_sealing(keys.sealing);
    access.Set("machine/" + HexEncode(keys.identity), machine.SerializeAsString());
  }

  MachineIdentity MakeIdentity(const std::string& name) {
    return *MachineIdentity::LoadOrCreate(folder.File(name));
  }

  ManualClock clock;
  std::shared_ptr<MemoryDatabase> database = std::make_shared<MemoryDatabase>(&clock);
  berth::testing::TempDir folder;
  KeyRing key_ring = *KeyRing::LoadOrCreate(folder.File("key-ring"));
  rpc::AccessView access;
  MachineIdentity host = MakeIdentity("host-a");
  MachineIdentity other_host = MakeIdentity("host-b");
  MachineIdentity scheduler = MakeIdentity("scheduler");
  MachineIdentity config = MakeIdentity("config");
};

rpc::Credentials Developer() { return {"", rpc::FormatToken(0, std::string(32, 'd'))}; }
rpc::Credentials Admin() { return {"", rpc::FormatToken(0, std::string(32, 'a'))}; }
rpc::Credentials Viewer() { return {"", rpc::FormatToken(0, std::string(32, 'v'))}; }
rpc::Credentials Machine(const MachineIdentity& machine) {
  return {machine.public_keys().identity, ""};
}

types::v1::EnvironmentName Shop() {
  types::v1::EnvironmentName name;
  name.set_org("acme");
  name.set_app("shop");
  name.set_env("production");
  return name;
}

// One life of the service.
struct Secrets {
  explicit Secrets(World* in) : world(in) {
    service.Start("", [this](absl::Status status) { started = std::move(status); });
    executor.RunUntilIdle();
  }

  // Calls without waiting for the answer.
  template <typename Response, typename Request>
  std::shared_ptr<absl::StatusOr<Response>> Begin(const Request& request,
                                                  const rpc::Credentials& credentials,
                                                  const std::string& request_id = "") {
    auto answer = std::make_shared<absl::StatusOr<Response>>(absl::UnknownError("no answer"));
    rpc::IncomingCall call;
    call.method = &rpc::MethodFor(*Request::descriptor());
    call.credentials = credentials;
    call.request_id = request_id;
    service.dispatcher().Unary(call, request.SerializeAsString(),
                               [answer](absl::StatusOr<std::string> bytes) {
                                 if (!bytes.ok()) {
                                   *answer = bytes.status();
                                 } else {
                                   Response response;
                                   response.ParseFromString(*bytes);
                                   *answer = response;
                                 }
                               });
    return answer;
  }

  template <typename Response, typename Request>
  absl::StatusOr<Response> Call(const Request& request, const rpc::Credentials& credentials,
                                const std::string& request_id = "") {
    const auto answer = Begin<Response>(request, credentials, request_id);
    executor.RunUntilIdle();
    return *answer;
  }

  v1::PutSecretRequest PutRequest(const std::string& name, absl::string_view value) {
    const auto key = Call<v1::GetSealingKeyResponse>(v1::GetSealingKeyRequest(), Developer());
    REQUIRE(key.ok());
    v1::PutSecretRequest request;
    *request.mutable_environment() = Shop();
    request.set_name(name);
    request.set_sealed_value(*Seal(key->key(), value));
    request.set_activation(v1::ACTIVATION_NOW);
    return request;
  }

  absl::StatusOr<v1::PutSecretResponse> Put(const std::string& name, absl::string_view value) {
    return Call<v1::PutSecretResponse>(PutRequest(name, value), Developer());
  }

  v1::GetSecretRequest GetRequest(const std::string& name, uint64_t version = 0) {
    v1::GetSecretRequest request;
    *request.mutable_environment() = Shop();
    request.set_name(name);
    request.set_version(version);
    request.set_reader_key(reader.public_key());
    return request;
  }

  // The value as an administrator reads it, or why not.
  std::string Get(const std::string& name, uint64_t version = 0) {
    const auto got = Call<v1::GetSecretResponse>(GetRequest(name, version), Admin());
    if (!got.ok()) return got.status().ToString();
    return std::string(reader.Open(got->sealed_value())->view());
  }

  v1::GetBundleRequest BundleRequest(const std::map<std::string, uint64_t>& versions,
                                     const MachineIdentity& signer) {
    v1::SecretGrant grant;
    grant.set_host("host-a");
    *grant.mutable_environment() = Shop();
    grant.mutable_versions()->insert(versions.begin(), versions.end());
    v1::GetBundleRequest request;
    *request.mutable_grant() = SignGrant(grant, signer.signing_key());
    return request;
  }

  std::vector<eventlog::v1::Record> Records() {
    std::vector<eventlog::v1::Record> records;
    const auto all = log.Read(0, 1000);
    for (const StoredRecord& stored : *all) {
      records.emplace_back();
      REQUIRE(records.back().ParseFromString(stored.bytes));
    }
    return records;
  }

  // Whether the bytes are anywhere in what the log stores.
  bool Stores(absl::string_view bytes) {
    const auto records = log.Read(0, 1000);
    const auto rows = log.ListRows("");
    for (const StoredRecord& stored : *records) {
      if (stored.bytes.find(std::string(bytes)) != std::string::npos) return true;
    }
    for (const auto& [key, value] : *rows) {
      if (key.find(std::string(bytes)) != std::string::npos) return true;
      if (value.find(std::string(bytes)) != std::string::npos) return true;
    }
    return false;
  }

  World* const world;
  RandomIdSource ids;
  MemoryEventLog log{world->database, "secrets"};
  ManualExecutor executor{&world->clock};
  SealingKey reader = SealingKey::Generate();
  absl::Status started = absl::UnknownError("not started");
  Service service{{&log, &executor, &world->clock, &ids, &world->access, &world->key_ring}};
};

TEST_CASE("a value that was put is read, also after a restart", "[secrets][service]") {
  World world;
  const std::string value = GENERATE(std::string(), std::string("hunter2"),
                                     std::string("\0\n\xff", 3), std::string(65536, 'x'));
  {
    Secrets secrets(&world);
    REQUIRE(secrets.started == absl::OkStatus());
    REQUIRE(secrets.Put("token", value).status() == absl::OkStatus());
    CHECK(secrets.Get("token") == value);
  }
  Secrets secrets(&world);
  REQUIRE(secrets.started == absl::OkStatus());
  CHECK(secrets.Get("token", 1) == value);
  CHECK(secrets.Put("token", value)->unchanged());
}

TEST_CASE("who calls a service that stands by is told so", "[secrets][service]") {
  World world;
  MemoryEventLog other(world.database, "secrets");
  REQUIRE(other.TakeLease({"another process"}, absl::Hours(1)).ok());
  Secrets secrets(&world);
  CHECK(secrets.started == absl::OkStatus());
  const auto key = secrets.Call<v1::GetSealingKeyResponse>(v1::GetSealingKeyRequest(), Developer());
  CHECK(absl::IsUnavailable(key.status()));
  v1::PutSecretRequest request;
  *request.mutable_environment() = Shop();
  CHECK(absl::IsUnavailable(
      secrets.Call<v1::PutSecretResponse>(request, Developer(), "request-1").status()));
  CHECK(absl::IsUnavailable(
      secrets.Call<v1::GetSecretResponse>(secrets.GetRequest("token"), Admin()).status()));
}

TEST_CASE("no event, record or row has the value", "[secrets][service]") {
  World world;
  Secrets secrets(&world);
  REQUIRE(secrets.Put("token", kCanary).ok());
  CHECK(secrets.Get("token") == kCanary);
  REQUIRE(secrets
              .Call<v1::GetBundleResponse>(secrets.BundleRequest({{"token", 1}}, world.scheduler),
                                           Machine(world.host))
              .ok());
  CHECK_FALSE(secrets.Stores(kCanary));
  // The search does find what is there.
  CHECK(secrets.Stores("acme/shop/production/token"));
  CHECK(secrets.Stores("user/developer"));
}

TEST_CASE("no record has a sealed value, and a row has it only while it is kept",
          "[secrets][service]") {
  World world;
  Secrets secrets(&world);
  REQUIRE(secrets.Put("token", kCanary).ok());
  const auto row = secrets.log.GetRow("secret/acme/shop/production/token/1");
  REQUIRE(row.ok());
  REQUIRE(row->has_value());
  v1::SecretRow stored;
  REQUIRE(stored.ParseFromString(**row));
  const auto got = secrets.Call<v1::GetSecretResponse>(secrets.GetRequest("token"), Admin());
  REQUIRE(got.ok());
  CHECK_FALSE(secrets.Stores(got->sealed_value()));
  CHECK(secrets.Stores(stored.ciphertext()));
  v1::DeleteSecretRequest request;
  *request.mutable_environment() = Shop();
  request.set_name("token");
  REQUIRE(secrets.Call<v1::DeleteSecretResponse>(request, Developer()).ok());
  CHECK_FALSE(secrets.Stores(stored.ciphertext()));
  CHECK_FALSE(secrets.Stores(stored.wrapped_key()));
  CHECK_THAT(secrets.Get("token"), Catch::Contains("has no secret token"));
}

TEST_CASE("a read leaves a record that says what was read", "[secrets][service]") {
  World world;
  Secrets secrets(&world);
  REQUIRE(secrets.Put("token", "hunter2").ok());
  secrets.Get("token");
  const eventlog::v1::Record record = secrets.Records().back();
  CHECK(record.method() == "berth.secrets.v1.SecretsService.GetSecret");
  CHECK(record.actor().principal() == "user/admin");
  v1::GetSecretResponse answer;
  REQUIRE(answer.ParseFromString(record.answer()));
  CHECK(answer.name() == "token");
  CHECK(answer.version() == 1);
  CHECK(answer.environment().app() == "shop");
  CHECK(answer.sealed_value().empty());
}

TEST_CASE("a read that cannot be recorded fails", "[secrets][service]") {
  World world;
  Secrets secrets(&world);
  REQUIRE(secrets.Put("token", "hunter2").ok());
  const auto failure = GENERATE(MemoryDatabase::AppendFailure::kDiskFull,
                                MemoryDatabase::AppendFailure::kLostBeforeStored);
  world.database->FailNextAppend(failure);
  const auto got = secrets.Call<v1::GetSecretResponse>(secrets.GetRequest("token"), Admin());
  CHECK_FALSE(got.ok());
  world.database->FailNextAppend(failure);
  CHECK_FALSE(secrets
                  .Call<v1::GetBundleResponse>(
                      secrets.BundleRequest({{"token", 1}}, world.scheduler), Machine(world.host))
                  .ok());
}

TEST_CASE("a repeated read gets the value once more, sealed to the same reader",
          "[secrets][service]") {
  World world;
  Secrets secrets(&world);
  REQUIRE(secrets.Put("token", "old").ok());
  const v1::GetSecretRequest request = secrets.GetRequest("token");
  REQUIRE(secrets.Call<v1::GetSecretResponse>(request, Admin(), "request-1").ok());
  REQUIRE(secrets.Put("token", "new").ok());
  const size_t records = secrets.Records().size();
  const auto again = secrets.Call<v1::GetSecretResponse>(request, Admin(), "request-1");
  REQUIRE(again.status() == absl::OkStatus());
  CHECK(again->version() == 1);
  CHECK(secrets.reader.Open(again->sealed_value())->view() == "old");
  CHECK(secrets.Records().size() == records);
}

TEST_CASE("a repeated put makes no second version", "[secrets][service]") {
  World world;
  Secrets secrets(&world);
  const v1::PutSecretRequest request = secrets.PutRequest("token", "hunter2");
  CHECK(secrets.Call<v1::PutSecretResponse>(request, Developer(), "request-1")->version() == 1);
  const auto again = secrets.Call<v1::PutSecretResponse>(request, Developer(), "request-1");
  REQUIRE(again.ok());
  CHECK(again->version() == 1);
  CHECK_FALSE(again->unchanged());
}

TEST_CASE("a value that is deleted before it could be read is not found", "[secrets][service]") {
  World world;
  Secrets secrets(&world);
  REQUIRE(secrets.Put("token", "hunter2").ok());
  v1::DeleteSecretRequest request;
  *request.mutable_environment() = Shop();
  request.set_name("token");
  const auto got = secrets.Begin<v1::GetSecretResponse>(secrets.GetRequest("token"), Admin());
  const auto deleted = secrets.Begin<v1::DeleteSecretResponse>(request, Developer());
  secrets.executor.RunUntilIdle();
  CHECK(deleted->ok());
  CHECK(absl::IsNotFound(got->status()));
}

TEST_CASE("what cannot be opened is not put", "[secrets][service]") {
  World world;
  Secrets secrets(&world);
  v1::PutSecretRequest request = secrets.PutRequest("token", "hunter2");
  SECTION("sealed to another key") {
    request.set_sealed_value(*Seal(SealingKey::Generate().public_key(), "hunter2"));
  }
  SECTION("in plain") { request.set_sealed_value("hunter2"); }
  SECTION("changed") { request.mutable_sealed_value()->back() ^= 1; }
  SECTION("too large") {
    request = secrets.PutRequest("token", std::string(State::kValueSizeMax + 1, 'x'));
  }
  CHECK(
      absl::IsInvalidArgument(secrets.Call<v1::PutSecretResponse>(request, Developer()).status()));
  CHECK(secrets.Records().back().outcome().code() ==
        static_cast<int>(absl::StatusCode::kInvalidArgument));
}

TEST_CASE("a reader without a key reads nothing", "[secrets][service]") {
  World world;
  Secrets secrets(&world);
  REQUIRE(secrets.Put("token", "hunter2").ok());
  v1::GetSecretRequest request = secrets.GetRequest("token");
  const std::string key = GENERATE(std::string(), std::string("short"), std::string(32, '\0'));
  request.set_reader_key(key);
  CHECK(absl::IsInvalidArgument(secrets.Call<v1::GetSecretResponse>(request, Admin()).status()));
}

TEST_CASE("only who may read values gets one", "[secrets][service]") {
  World world;
  Secrets secrets(&world);
  REQUIRE(secrets.Put("token", "hunter2").ok());
  const auto caller = GENERATE(0, 1, 2, 3);
  const rpc::Credentials credentials[] = {Developer(), Viewer(), Machine(world.host),
                                          Machine(world.scheduler)};
  CHECK(absl::IsPermissionDenied(
      secrets.Call<v1::GetSecretResponse>(secrets.GetRequest("token"), credentials[caller])
          .status()));
  CHECK(absl::IsPermissionDenied(
      secrets.Call<v1::PutSecretResponse>(secrets.PutRequest("token", "x"), Viewer()).status()));
}

TEST_CASE("a host gets its bundle against the scheduler's grant", "[secrets][service]") {
  World world;
  Secrets secrets(&world);
  REQUIRE(secrets.Put("token", "old").ok());
  REQUIRE(secrets.Put("token", "new").ok());
  REQUIRE(secrets.Put("key", kCanary).ok());
  const v1::GetBundleRequest request =
      secrets.BundleRequest({{"token", 1}, {"key", 1}}, world.scheduler);
  const auto sealed = secrets.Call<v1::GetBundleResponse>(request, Machine(world.host));
  REQUIRE(sealed.status() == absl::OkStatus());
  const auto bundle = Bundle::Open(*sealed, world.host.sealing_key());
  REQUIRE(bundle.status() == absl::OkStatus());
  CHECK(bundle->values().at("token") == "old");
  CHECK(bundle->values().at("key") == kCanary);
  CHECK(SameGrant(bundle->grant(), *VerifyGrant(request.grant())));
  CHECK_FALSE(Bundle::Open(*sealed, world.other_host.sealing_key()).ok());
  const eventlog::v1::Record record = secrets.Records().back();
  CHECK(record.actor().principal() == "host/host-a");
  v1::GetBundleResponse answer;
  REQUIRE(answer.ParseFromString(record.answer()));
  v1::BundleContent content;
  REQUIRE(content.ParseFromString(answer.content()));
  CHECK(content.grant().versions().at("token") == 1);
  CHECK(answer.sealed_values().empty());
}

TEST_CASE("a bundle is refused to whom it is not for", "[secrets][service]") {
  World world;
  Secrets secrets(&world);
  REQUIRE(secrets.Put("token", "hunter2").ok());
  v1::GetBundleRequest request = secrets.BundleRequest({{"token", 1}}, world.scheduler);
  rpc::Credentials caller = Machine(world.host);
  SECTION("another host") { caller = Machine(world.other_host); }
  SECTION("a person") { caller = Admin(); }
  SECTION("a service") { caller = Machine(world.scheduler); }
  SECTION("a grant of another service") {
    request = secrets.BundleRequest({{"token", 1}}, world.config);
  }
  SECTION("a grant of the host's own") {
    request = secrets.BundleRequest({{"token", 1}}, world.host);
  }
  SECTION("a grant of nobody known") {
    request = secrets.BundleRequest({{"token", 1}}, world.MakeIdentity("stranger"));
  }
  SECTION("a grant of a host called scheduler") {
    const MachineIdentity host = world.MakeIdentity("impostor");
    world.AddMachine(auth::v1::MACHINE_KIND_HOST, "scheduler", host.public_keys());
    request = secrets.BundleRequest({{"token", 1}}, host);
  }
  SECTION("a grant of a scheduler whose key has changed") {
    world.AddMachine(auth::v1::MACHINE_KIND_SERVICE, "scheduler", world.scheduler.public_keys(),
                     auth::v1::MACHINE_STATUS_UNKNOWN);
  }
  SECTION("a host whose key has changed") {
    world.AddMachine(auth::v1::MACHINE_KIND_HOST, "host-a", world.host.public_keys(),
                     auth::v1::MACHINE_STATUS_UNKNOWN);
  }
  SECTION("a grant that was changed") { request.mutable_grant()->mutable_grant()->back() ^= 1; }
  SECTION("no grant") { request.clear_grant(); }
  CHECK(absl::IsPermissionDenied(secrets.Call<v1::GetBundleResponse>(request, caller).status()));
  CHECK(secrets.Records().back().outcome().code() ==
        static_cast<int>(absl::StatusCode::kPermissionDenied));
}

TEST_CASE("a row that was changed behind the log's back is not handed out", "[secrets][service]") {
  World world;
  Secrets secrets(&world);
  REQUIRE(secrets.Put("token", "hunter2").ok());
  REQUIRE(secrets.Put("other", "hunter3").ok());
  const auto row = secrets.log.GetRow("secret/acme/shop/production/other/1");
  // Another row's bytes, which open under their own name.
  const uint64_t position = secrets.Records().size();
  REQUIRE(secrets.log.Append(position, {}, {{"secret/acme/shop/production/token/1", *row}}).ok());
  CHECK(absl::IsDataLoss(
      secrets.Call<v1::GetSecretResponse>(secrets.GetRequest("token"), Admin()).status()));
  CHECK(secrets.Get("other") == "hunter3");
}

TEST_CASE("without its keys a service with secrets does not start", "[secrets][service]") {
  World world;
  {
    Secrets secrets(&world);
    REQUIRE(secrets.Put("token", "hunter2").ok());
    REQUIRE(
        secrets.log.Append(secrets.Records().size(), {}, {{"secrets/sealing-key", std::nullopt}})
            .ok());
  }
  CHECK(absl::IsDataLoss(Secrets(&world).started));
}

}  // namespace
}  // namespace berth::secrets
