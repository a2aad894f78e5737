#include "common/exec/exec_grant.h"

#include <catch2/catch.hpp>
#include <string>

#include "common/testing/printers.h"

namespace berth {
namespace {

scheduler::v1::ExecGrant MakeGrant() {
  scheduler::v1::ExecGrant grant;
  grant.set_host("alpha");
  grant.set_instance("web-1");
  grant.set_principal("user/ada");
  grant.add_command("sh");
  grant.set_id("k3v9x2a7ql");
  return grant;
}

TEST_CASE("a signed exec grant is read back", "[exec][grant]") {
  const SigningKey key = SigningKey::Generate();
  const auto grant = VerifyExecGrant(SignExecGrant(MakeGrant(), key), key.public_key());
  REQUIRE(grant.ok());
  CHECK(grant->SerializeAsString() == MakeGrant().SerializeAsString());
}

TEST_CASE("an exec grant with a changed byte does not count", "[exec][grant]") {
  const SigningKey key = SigningKey::Generate();
  const auto signed_grant = SignExecGrant(MakeGrant(), key);
  for (size_t i = 0; i < signed_grant.grant().size(); ++i) {
    auto changed = signed_grant;
    (*changed.mutable_grant())[i] = static_cast<char>(changed.grant()[i] ^ 1);
    CHECK(absl::IsPermissionDenied(VerifyExecGrant(changed, key.public_key()).status()));
  }
  CHECK(absl::IsPermissionDenied(VerifyExecGrant({}, key.public_key()).status()));
}

TEST_CASE("an exec grant of another key than the scheduler's does not count", "[exec][grant]") {
  const SigningKey key = SigningKey::Generate();
  auto forged = SignExecGrant(MakeGrant(), SigningKey::Generate());
  CHECK(absl::IsPermissionDenied(VerifyExecGrant(forged, key.public_key()).status()));
  forged.set_signed_by(key.public_key());
  CHECK(absl::IsPermissionDenied(VerifyExecGrant(forged, key.public_key()).status()));
  // Where auth knows of no scheduler.
  CHECK(absl::IsPermissionDenied(VerifyExecGrant({}, "").status()));
}

TEST_CASE("a signature made for another purpose is none under an exec grant", "[exec][grant]") {
  const SigningKey key = SigningKey::Generate();
  auto signed_grant = SignExecGrant(MakeGrant(), key);
  signed_grant.set_signature(
      key.Sign(std::string("berth secret grant v1") + '\0' + signed_grant.grant()));
  CHECK(absl::IsPermissionDenied(VerifyExecGrant(signed_grant, key.public_key()).status()));
}

TEST_CASE("an exec grant of nothing is refused", "[exec][grant]") {
  const SigningKey key = SigningKey::Generate();
  scheduler::v1::ExecGrant grant = MakeGrant();
  SECTION("of no host") { grant.clear_host(); }
  SECTION("of no instance") { grant.clear_instance(); }
  SECTION("of no command") { grant.clear_command(); }
  SECTION("without a name") { grant.clear_id(); }
  CHECK(absl::IsInvalidArgument(
      VerifyExecGrant(SignExecGrant(grant, key), key.public_key()).status()));
}

}  // namespace
}  // namespace berth
