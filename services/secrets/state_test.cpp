#include "services/secrets/state.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/crypto/hash.h"
#include "common/ids/names.h"
#include "common/secrets/bundle.h"
#include "common/testing/scenario.h"

namespace berth::secrets {
namespace {

using berth::testing::Scenario;

DecisionContext Context() {
  DecisionContext context;
  context.principal = "user/admin";
  context.now = absl::FromUnixSeconds(1'700'000'000);
  return context;
}

std::string ReadTopic(const TopicKey&, const std::string& value) {
  v1::ActiveSecrets active;
  REQUIRE(active.ParseFromString(value));
  std::string text;
  for (const auto& [name, version] :
       std::map<std::string, uint64_t>(active.versions().begin(), active.versions().end())) {
    absl::StrAppend(&text, name, "=", version, " ");
  }
  return text;
}

types::v1::EnvironmentName Shop() {
  types::v1::EnvironmentName name;
  name.set_org("acme");
  name.set_app("shop");
  name.set_env("production");
  return name;
}

// Values with the same text are equal.
SealedValue Value(const std::string& text) {
  SealedValue value;
  value.uid = "uid of " + text;
  value.size_bytes = text.size();
  value.row = "row of " + text;
  value.ciphertext_digest = "checks " + text;
  value.value_digest = "digest of " + text;
  return value;
}

v1::PutSecretRequest Put(const std::string& name, v1::Activation activation = v1::ACTIVATION_NOW) {
  v1::PutSecretRequest request;
  *request.mutable_environment() = Shop();
  request.set_name(name);
  request.set_activation(activation);
  return request;
}

v1::GetSecretRequest Get(const std::string& name, uint64_t version = 0) {
  v1::GetSecretRequest request;
  *request.mutable_environment() = Shop();
  request.set_name(name);
  request.set_version(version);
  return request;
}

v1::ActivateSecretRequest Activate(const std::string& name, uint64_t version) {
  v1::ActivateSecretRequest request;
  *request.mutable_environment() = Shop();
  request.set_name(name);
  request.set_version(version);
  return request;
}

v1::DeleteSecretRequest Delete(const std::string& name, uint64_t version = 0) {
  v1::DeleteSecretRequest request;
  *request.mutable_environment() = Shop();
  request.set_name(name);
  request.set_version(version);
  return request;
}

v1::SecretGrant Grant(const std::map<std::string, uint64_t>& versions) {
  v1::SecretGrant grant;
  grant.set_host("host-a");
  *grant.mutable_environment() = Shop();
  grant.mutable_versions()->insert(versions.begin(), versions.end());
  return grant;
}

struct Secrets : Scenario<State> {
  Secrets() : Scenario(ReadTopic) {}

  uint64_t GivenPut(const std::string& name, const std::string& text,
                    v1::Activation activation = v1::ACTIVATION_NOW) {
    return When(Put(name, activation), Value(text), Context()).ThenDone().version();
  }
  // What the watch says of the environment; "gone" where it has nothing.
  std::string Active() const {
    const auto view = state().View({State::kActiveSecretsTopic, ToString(Shop())});
    return view.has_value() ? ReadTopic({}, *view) : "gone";
  }
};

TEST_CASE("a first version is active", "[secrets][state]") {
  Secrets secrets;
  const auto activation = GENERATE(v1::ACTIVATION_NOW, v1::ACTIVATION_LATER);
  const auto outcome = secrets.When(Put("token", activation), Value("a"), Context());
  CHECK(outcome.ThenDone().version() == 1);
  CHECK(outcome.ThenDone().active_version() == 1);
  CHECK_FALSE(outcome.ThenDone().unchanged());
  REQUIRE(outcome.events().size() == 2);
  const v1::SecretVersionPut& put = outcome.events()[0].secret_version_put();
  CHECK(put.created_by() == "user/admin");
  CHECK(put.size_bytes() == 1);
  CHECK(put.uid() == Value("a").uid);
  CHECK(put.ciphertext_digest() == Value("a").ciphertext_digest);
  CHECK(outcome.events()[1].secret_version_activated().version() == 1);
  CHECK(secrets.Active() == "token=1 ");
  secrets.CheckReplay();
}

TEST_CASE("the ciphertext goes to a row and not into an event", "[secrets][state]") {
  const State state;
  const auto decided = state.Decide(Put("token"), Value("a"), Context());
  REQUIRE(decided.ok());
  REQUIRE(decided->rows.size() == 1);
  CHECK(decided->rows[0].key == "secret/acme/shop/production/token/1");
  CHECK(decided->rows[0].value == Value("a").row);
  for (const v1::Event& event : decided->events) {
    CHECK(event.SerializeAsString().find(Value("a").row) == std::string::npos);
  }
}

TEST_CASE("a row that is missing or not the one that was put is found", "[secrets][state]") {
  const std::string key = "secret/acme/shop/production/token/1";
  v1::SecretRow row;
  row.set_wrapped_key("wrapped");
  row.set_ciphertext("sealed");
  SealedValue value = Value("a");
  value.ciphertext_digest = Blake2b256({row.ciphertext()});
  Secrets secrets;
  secrets.When(Put("token"), value, Context()).ThenDone();

  CHECK(secrets.state().CheckRows({{key, row.SerializeAsString()}}) == absl::OkStatus());
  // The key ring was rotated.
  row.set_wrapped_key("wrapped anew");
  CHECK(secrets.state().CheckRows({{key, row.SerializeAsString()}}) == absl::OkStatus());
  row.set_ciphertext("exchanged");
  const absl::Status changed = secrets.state().CheckRows({{key, row.SerializeAsString()}});
  CHECK(absl::IsDataLoss(changed));
  CHECK_THAT(std::string(changed.message()), Catch::Contains(key));
  CHECK(absl::IsDataLoss(secrets.state().CheckRows({})));
}

TEST_CASE("a version may wait until it is activated", "[secrets][state]") {
  Secrets secrets;
  secrets.GivenPut("token", "a");
  const auto waits = secrets.When(Put("token", v1::ACTIVATION_LATER), Value("b"), Context());
  CHECK(waits.ThenDone().version() == 2);
  CHECK(waits.ThenDone().active_version() == 1);
  CHECK(secrets.Active() == "token=1 ");
  CHECK_FALSE(secrets.When(Activate("token", 2), Context()).ThenDone().unchanged());
  CHECK(secrets.Active() == "token=2 ");
  CHECK(secrets.When(Activate("token", 2), Context()).ThenNothing().unchanged());
  CHECK(secrets.When(Activate("token", 1), Context()).ThenDone().unchanged() == false);
  CHECK(secrets.Active() == "token=1 ");
  secrets.When(Activate("token", 3), Context()).ThenRefused(absl::StatusCode::kNotFound, "3");
  secrets.When(Activate("token", 0), Context()).ThenRefused(absl::StatusCode::kNotFound);
  secrets.When(Activate("other", 1), Context()).ThenRefused(absl::StatusCode::kNotFound, "other");
  secrets.CheckReplay();
}

TEST_CASE("the newest version's value again is no new version", "[secrets][state]") {
  Secrets secrets;
  secrets.GivenPut("token", "a");
  const auto same = secrets.When(Put("token"), Value("a"), Context());
  CHECK(same.ThenNothing().unchanged());
  CHECK(same.ThenNothing().version() == 1);
  secrets.GivenPut("token", "b", v1::ACTIVATION_LATER);
  SECTION("but is activated where that was asked for") {
    const auto again = secrets.When(Put("token"), Value("b"), Context());
    CHECK(again.ThenDone().unchanged());
    CHECK(again.ThenDone().version() == 2);
    CHECK(again.ThenDone().active_version() == 2);
    CHECK(secrets.Active() == "token=2 ");
  }
  SECTION("and stays where it waits") {
    secrets.When(Put("token", v1::ACTIVATION_LATER), Value("b"), Context()).ThenNothing();
    CHECK(secrets.Active() == "token=1 ");
  }
  SECTION("an older one's value is a new version") { CHECK(secrets.GivenPut("token", "a") == 3); }
  SECTION("another secret's value is its own") { CHECK(secrets.GivenPut("other", "b") == 1); }
  secrets.CheckReplay();
}

TEST_CASE("what has no proper name is not put", "[secrets][state]") {
  Secrets secrets;
  v1::PutSecretRequest request = Put("token");
  SECTION("secret") { request.set_name("../token"); }
  SECTION("no secret") { request.clear_name(); }
  SECTION("org") { request.mutable_environment()->set_org("a/b"); }
  SECTION("app") { request.mutable_environment()->clear_app(); }
  SECTION("environment") { request.mutable_environment()->set_env("Production"); }
  SECTION("activation") { request.clear_activation(); }
  secrets.When(request, Value("a"), Context()).ThenRefused(absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a deleted version is not there, and the active one stays", "[secrets][state]") {
  Secrets secrets;
  secrets.GivenPut("token", "a");
  secrets.GivenPut("token", "b");
  secrets.When(Delete("token", 2), Context())
      .ThenRefused(absl::StatusCode::kFailedPrecondition, "activate another one first");
  const auto decided = secrets.state().Decide(Delete("token", 1), Context());
  REQUIRE(decided.ok());
  REQUIRE(decided->rows.size() == 1);
  CHECK(decided->rows[0].key == "secret/acme/shop/production/token/1");
  CHECK_FALSE(decided->rows[0].value.has_value());
  secrets.When(Delete("token", 1), Context()).ThenDone();
  CHECK(secrets.When(Delete("token", 1), Context()).ThenNothing().unchanged());
  secrets.When(Get("token", 1), Context()).ThenRefused(absl::StatusCode::kNotFound, "version 1");
  secrets.When(Activate("token", 1), Context()).ThenRefused(absl::StatusCode::kNotFound);
  CHECK(secrets.Active() == "token=2 ");
  secrets.CheckReplay();
}

TEST_CASE("a deleted secret leaves no row, and counts on when it is put again",
          "[secrets][state]") {
  Secrets secrets;
  secrets.GivenPut("token", "a");
  secrets.GivenPut("token", "b");
  const auto decided = secrets.state().Decide(Delete("token"), Context());
  REQUIRE(decided.ok());
  CHECK(decided->rows.size() == 2);
  CHECK_FALSE(secrets.When(Delete("token"), Context()).ThenDone().unchanged());
  CHECK(secrets.When(Delete("token"), Context()).ThenNothing().unchanged());
  CHECK(secrets.Active() == "gone");
  CHECK(secrets.state().SecretsOf(Shop()).empty());
  CHECK(absl::IsNotFound(secrets.state().VersionsOf(Shop(), "token").status()));
  secrets.When(Get("token"), Context()).ThenRefused(absl::StatusCode::kNotFound);
  secrets.When(Activate("token", 2), Context()).ThenRefused(absl::StatusCode::kNotFound);
  CHECK(secrets.GivenPut("token", "b", v1::ACTIVATION_LATER) == 3);
  CHECK(secrets.Active() == "token=3 ");
  secrets.CheckReplay();
}

TEST_CASE("the watch has an environment until its last secret is gone", "[secrets][state]") {
  Secrets secrets;
  secrets.GivenPut("token", "a");
  secrets.GivenPut("key", "a");
  secrets.When(Delete("token"), Context()).ThenDone();
  CHECK(secrets.Active() == "key=1 ");
  secrets.When(Delete("key"), Context()).ThenDone();
  CHECK(secrets.Active() == "gone");
  CHECK(secrets.state().Entries(State::kActiveSecretsTopic).empty());
}

TEST_CASE("a list tells of secrets without their values", "[secrets][state]") {
  Secrets secrets;
  secrets.GivenPut("token", "aaaa");
  secrets.GivenPut("token", "b", v1::ACTIVATION_LATER);
  secrets.GivenPut("key", "a");
  const std::vector<v1::Secret> list = secrets.state().SecretsOf(Shop());
  REQUIRE(list.size() == 2);
  CHECK(list[0].name() == "key");
  CHECK(list[1].name() == "token");
  CHECK(list[1].active_version() == 1);
  CHECK(list[1].newest_version() == 2);
  CHECK(list[1].versions() == 2);
  CHECK(list[1].updated_by() == "user/admin");
  const auto versions = secrets.state().VersionsOf(Shop(), "token");
  REQUIRE(versions.ok());
  REQUIRE(versions->size() == 2);
  CHECK(versions->at(0).version() == 2);
  CHECK_FALSE(versions->at(0).active());
  CHECK(versions->at(1).active());
  CHECK(versions->at(1).size_bytes() == 4);
}

TEST_CASE("an environment has a bounded number of secrets", "[secrets][state]") {
  // Without the scenario's checks after each of so many events.
  State state;
  auto when = [&state](const auto&... arguments) {
    const auto decided = state.Decide(arguments...);
    if (decided.ok()) {
      for (const v1::Event& event : decided->events) state.Apply(event);
    }
    return decided.status();
  };
  for (size_t i = 0; i < State::kSecretsMax; ++i) {
    REQUIRE(when(Put(absl::StrCat("s", i)), Value("a"), Context()) == absl::OkStatus());
  }
  CHECK(absl::IsResourceExhausted(when(Put("one-more"), Value("a"), Context())));
  CHECK(when(Put("s7"), Value("b"), Context()) == absl::OkStatus());
  CHECK(when(Delete("s7"), Context()) == absl::OkStatus());
  CHECK(when(Put("one-more"), Value("a"), Context()) == absl::OkStatus());
  CHECK(absl::IsResourceExhausted(when(Put("s7"), Value("a"), Context())));
}

TEST_CASE("a secret has a bounded number of versions", "[secrets][state]") {
  Secrets secrets;
  for (size_t i = 0; i < State::kVersionsMax; ++i) secrets.GivenPut("token", absl::StrCat(i));
  secrets.When(Put("token"), Value("a"), Context())
      .ThenRefused(absl::StatusCode::kResourceExhausted, "--version");
  secrets.When(Delete("token", 1), Context()).ThenDone();
  CHECK(secrets.GivenPut("token", "a") == State::kVersionsMax + 1);
}

TEST_CASE("a bundle needs every version of its grant", "[secrets][state]") {
  Secrets secrets;
  secrets.GivenPut("token", "a");
  secrets.GivenPut("token", "b");
  secrets.GivenPut("key", "c");
  const auto given = secrets.When(Grant({{"token", 1}, {"key", 1}}), Context());
  v1::BundleContent content;
  REQUIRE(content.ParseFromString(given.ThenNothing().content()));
  CHECK(content.grant().versions().at("token") == 1);
  CHECK(given.ThenNothing().sealed_values().empty());
  secrets.When(Delete("token", 1), Context()).ThenDone();
  secrets.When(Grant({{"token", 1}, {"key", 1}}), Context())
      .ThenRefused(absl::StatusCode::kNotFound, "token");
  secrets.When(Grant({{"other", 1}}), Context()).ThenRefused(absl::StatusCode::kNotFound);
}

TEST_CASE("a bundle has a bounded size", "[secrets][state]") {
  Secrets secrets;
  std::map<std::string, uint64_t> versions;
  SealedValue value = Value("large");
  value.size_bytes = State::kValueSizeMax;
  for (size_t i = 0; i <= kBundleValuesMax / State::kValueSizeMax; ++i) {
    const std::string name = absl::StrCat("s", i);
    versions[name] = secrets.When(Put(name), value, Context()).ThenDone().version();
  }
  secrets.When(Grant(versions), Context()).ThenRefused(absl::StatusCode::kResourceExhausted);
  versions.erase("s0");
  secrets.When(Grant(versions), Context()).ThenNothing();
}

TEST_CASE("every state of secrets that was ever saved is taken up", "[secrets][stored]") {
  testing::CheckStoredStates<State>("secrets");
}

}  // namespace
}  // namespace berth::secrets
