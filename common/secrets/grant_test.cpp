#include "common/secrets/grant.h"

#include <catch2/catch.hpp>

#include "common/testing/printers.h"

namespace berth {
namespace {

secrets::v1::SecretGrant MakeGrant() {
  secrets::v1::SecretGrant grant;
  grant.set_host("host-a");
  grant.mutable_environment()->set_org("acme");
  grant.mutable_environment()->set_app("shop");
  grant.mutable_environment()->set_env("production");
  for (const char* name : {"token", "database-url", "key", "a", "z"}) {
    (*grant.mutable_versions())[name] = 3;
  }
  return grant;
}

TEST_CASE("a signed grant is read back", "[secrets][grant]") {
  const SigningKey key = SigningKey::Generate();
  const auto signed_grant = SignGrant(MakeGrant(), key);
  CHECK(signed_grant.signed_by() == key.public_key());
  const auto grant = VerifyGrant(signed_grant);
  REQUIRE(grant.ok());
  CHECK(grant->host() == "host-a");
  CHECK(grant->versions().at("database-url") == 3);
}

TEST_CASE("the same grant is signed to the same bytes", "[secrets][grant]") {
  const SigningKey key = SigningKey::Generate();
  secrets::v1::SecretGrant other = MakeGrant();
  other.mutable_versions()->clear();
  for (const char* name : {"z", "key", "a", "database-url", "token"}) {
    (*other.mutable_versions())[name] = 3;
  }
  CHECK(SignGrant(MakeGrant(), key).SerializeAsString() ==
        SignGrant(other, key).SerializeAsString());
  CHECK(SameGrant(MakeGrant(), other));
  (*other.mutable_versions())["key"] = 4;
  CHECK_FALSE(SameGrant(MakeGrant(), other));
}

TEST_CASE("a grant with a changed byte does not count", "[secrets][grant]") {
  const auto signed_grant = SignGrant(MakeGrant(), SigningKey::Generate());
  for (size_t i = 0; i < signed_grant.grant().size(); ++i) {
    auto changed = signed_grant;
    (*changed.mutable_grant())[i] = static_cast<char>(changed.grant()[i] ^ 1);
    CHECK(absl::IsPermissionDenied(VerifyGrant(changed).status()));
  }
  auto changed = signed_grant;
  changed.set_signature(changed.signature().substr(1));
  CHECK(absl::IsPermissionDenied(VerifyGrant(changed).status()));
  changed = signed_grant;
  changed.set_signed_by(SigningKey::Generate().public_key());
  CHECK(absl::IsPermissionDenied(VerifyGrant(changed).status()));
  CHECK(absl::IsPermissionDenied(VerifyGrant({}).status()));
}

TEST_CASE("a signature made for another purpose is none under a grant", "[secrets][grant]") {
  const SigningKey key = SigningKey::Generate();
  auto signed_grant = SignGrant(MakeGrant(), key);
  signed_grant.set_signature(key.Sign(signed_grant.grant()));
  CHECK(absl::IsPermissionDenied(VerifyGrant(signed_grant).status()));
}

TEST_CASE("a grant that nobody could be given is refused", "[secrets][grant]") {
  const SigningKey key = SigningKey::Generate();
  secrets::v1::SecretGrant grant = MakeGrant();
  SECTION("for no host") { grant.clear_host(); }
  SECTION("for no environment") { grant.clear_environment(); }
  SECTION("for no secrets") { grant.clear_versions(); }
  SECTION("for no version") { (*grant.mutable_versions())["a"] = 0; }
  SECTION("for what is no name") { (*grant.mutable_versions())["../a"] = 1; }
  SECTION("for too many secrets") {
    for (size_t i = 0; i < kGrantSecretsMax; ++i) {
      (*grant.mutable_versions())["s" + std::to_string(i)] = 1;
    }
  }
  CHECK(absl::IsInvalidArgument(VerifyGrant(SignGrant(grant, key)).status()));
}

TEST_CASE("what was signed and is no grant is refused", "[secrets][grant]") {
  const SigningKey key = SigningKey::Generate();
  secrets::v1::SignedSecretGrant signed_grant;
  signed_grant.set_grant("\xff\xff");
  signed_grant.set_signed_by(key.public_key());
  signed_grant.set_signature(
      key.Sign(std::string("berth secret grant v1") + '\0' + signed_grant.grant()));
  CHECK(absl::IsInvalidArgument(VerifyGrant(signed_grant).status()));
}

}  // namespace
}  // namespace berth
