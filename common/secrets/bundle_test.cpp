#include "common/secrets/bundle.h"

#include <catch2/catch.hpp>
#include <utility>

#include "common/crypto/hash.h"
#include "common/secrets/grant.h"
#include "common/testing/printers.h"

namespace berth {
namespace {

using secrets::v1::BundleContent;
using secrets::v1::GetBundleResponse;
using secrets::v1::SecretGrant;

constexpr char kBinary[] = "\0\n\xff";

SecretGrant MakeGrant() {
  SecretGrant grant;
  grant.set_host("host-a");
  (*grant.mutable_versions())["token"] = 2;
  (*grant.mutable_versions())["database-url"] = 7;
  (*grant.mutable_versions())["empty"] = 1;
  return grant;
}

std::map<std::string, SecretBytes> MakeValues() {
  std::map<std::string, SecretBytes> values;
  values["token"] = SecretBytes::CopyOf(absl::string_view(kBinary, 3));
  values["database-url"] = SecretBytes::CopyOf("postgres://shop");
  values["empty"] = SecretBytes();
  return values;
}

// As SealBundle does, with a content and values that need not fit each other.
GetBundleResponse SealWith(const BundleContent& content, absl::string_view values,
                           const SealingKey& key) {
  GetBundleResponse bundle;
  bundle.set_content(content.SerializeAsString());
  bundle.set_sealed_values(
      *Seal(key.public_key(), Blake2b256({bundle.content()}) + std::string(values)));
  return bundle;
}

TEST_CASE("a host opens its bundle", "[secrets][bundle]") {
  const SealingKey key = SealingKey::Generate();
  const auto sealed = SealBundle(MakeGrant(), MakeValues(), key.public_key());
  REQUIRE(sealed.ok());
  auto opened = Bundle::Open(*sealed, key);
  REQUIRE(opened.ok());
  // Views outlive a move.
  const Bundle bundle = *std::move(opened);
  CHECK(SameGrant(bundle.grant(), MakeGrant()));
  REQUIRE(bundle.values().size() == 3);
  CHECK(bundle.values().at("token") == absl::string_view(kBinary, 3));
  CHECK(bundle.values().at("database-url") == "postgres://shop");
  CHECK(bundle.values().at("empty").empty());
}

TEST_CASE("a bundle shows no value", "[secrets][bundle]") {
  const auto sealed = SealBundle(MakeGrant(), MakeValues(), SealingKey::Generate().public_key());
  CHECK(sealed->SerializeAsString().find("postgres") == std::string::npos);
}

TEST_CASE("another host does not open a bundle", "[secrets][bundle]") {
  const auto sealed = SealBundle(MakeGrant(), MakeValues(), SealingKey::Generate().public_key());
  CHECK(absl::IsInvalidArgument(Bundle::Open(*sealed, SealingKey::Generate()).status()));
}

TEST_CASE("a bundle with a changed byte is not opened", "[secrets][bundle]") {
  const SealingKey key = SealingKey::Generate();
  const auto sealed = SealBundle(MakeGrant(), MakeValues(), key.public_key());
  for (size_t i = 0; i < sealed->content().size(); ++i) {
    GetBundleResponse changed = *sealed;
    (*changed.mutable_content())[i] = static_cast<char>(changed.content()[i] ^ 1);
    CHECK_FALSE(Bundle::Open(changed, key).ok());
  }
  for (size_t i = 0; i < sealed->sealed_values().size(); ++i) {
    GetBundleResponse changed = *sealed;
    (*changed.mutable_sealed_values())[i] = static_cast<char>(changed.sealed_values()[i] ^ 1);
    CHECK_FALSE(Bundle::Open(changed, key).ok());
    changed.set_sealed_values(sealed->sealed_values().substr(0, i));
    CHECK_FALSE(Bundle::Open(changed, key).ok());
  }
}

TEST_CASE("values do not go under another content", "[secrets][bundle]") {
  const SealingKey key = SealingKey::Generate();
  auto sealed = SealBundle(MakeGrant(), MakeValues(), key.public_key());
  SecretGrant other = MakeGrant();
  (*other.mutable_versions())["token"] = 3;
  sealed->set_content(SealBundle(other, MakeValues(), key.public_key())->content());
  CHECK(absl::IsInvalidArgument(Bundle::Open(*sealed, key).status()));
}

TEST_CASE("sizes that lie are refused", "[secrets][bundle]") {
  const SealingKey key = SealingKey::Generate();
  BundleContent content;
  (*content.mutable_grant()->mutable_versions())["a"] = 1;
  (*content.mutable_grant()->mutable_versions())["b"] = 1;
  auto set = [&content](const char* name, uint64_t size) {
    (*content.mutable_sizes_bytes())[name] = size;
  };
  set("a", 2);
  set("b", 2);
  CHECK(Bundle::Open(SealWith(content, "aabb", key), key).ok());
  SECTION("too many bytes") { set("b", 3); }
  SECTION("too few bytes") { set("b", 1); }
  SECTION("sizes whose sum wraps around") { set("a", 5), set("b", ~uint64_t{0}); }
  SECTION("a value that the grant does not name") { set("c", 0); }
  SECTION("a value under another name") {
    content.mutable_sizes_bytes()->erase("b");
    set("c", 2);
  }
  SECTION("a value that is missing") {
    content.mutable_sizes_bytes()->erase("b");
    set("a", 4);
  }
  CHECK(absl::IsInvalidArgument(Bundle::Open(SealWith(content, "aabb", key), key).status()));
}

TEST_CASE("a bundle has a bounded size", "[secrets][bundle]") {
  const SealingKey key = SealingKey::Generate();
  SecretGrant grant;
  (*grant.mutable_versions())["a"] = 1;
  std::map<std::string, SecretBytes> values;
  values["a"] = SecretBytes(kBundleValuesMax);
  const auto sealed = SealBundle(grant, values, key.public_key());
  REQUIRE(sealed.ok());
  CHECK(Bundle::Open(*sealed, key).ok());
  values["a"] = SecretBytes(kBundleValuesMax + 1);
  CHECK(absl::IsResourceExhausted(SealBundle(grant, values, key.public_key()).status()));
}

TEST_CASE("what is no bundle is refused", "[secrets][bundle]") {
  const SealingKey key = SealingKey::Generate();
  CHECK(absl::IsInvalidArgument(Bundle::Open({}, key).status()));
  GetBundleResponse bundle;
  bundle.set_content("\xff\xff");
  bundle.set_sealed_values(*Seal(key.public_key(), Blake2b256({bundle.content()})));
  CHECK(absl::IsInvalidArgument(Bundle::Open(bundle, key).status()));
  CHECK(absl::IsInvalidArgument(SealBundle(MakeGrant(), MakeValues(), "short").status()));
}

}  // namespace
}  // namespace berth
