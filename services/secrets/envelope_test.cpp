#include "services/secrets/envelope.h"

#include <catch2/catch.hpp>

#include "berth/secrets/v1/events.pb.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth::secrets {
namespace {

const std::string kPath = "acme/shop/production/token";
const std::string kUid(16, 'u');

struct Ring {
  berth::testing::TempDir folder;
  KeyRing ring = *KeyRing::LoadOrCreate(folder.File("key-ring"));
};

TEST_CASE("a stored value is opened by its key ring", "[secrets][envelope]") {
  Ring keys;
  const std::string plain =
      GENERATE(std::string(), std::string("hunter2"), std::string(65536, 'x'));
  const std::string row = SealRow(keys.ring, kPath, kUid, SecretBytes::CopyOf(plain));
  const auto value = OpenRow(keys.ring, kPath, kUid, CiphertextDigest(row), row);
  REQUIRE(value.status() == absl::OkStatus());
  CHECK(value->view() == plain);
  if (!plain.empty()) CHECK(row.find(plain) == std::string::npos);
}

TEST_CASE("the same value is never stored as the same bytes", "[secrets][envelope]") {
  Ring keys;
  const SecretBytes value = SecretBytes::CopyOf("hunter2");
  CHECK(CiphertextDigest(SealRow(keys.ring, kPath, kUid, value)) !=
        CiphertextDigest(SealRow(keys.ring, kPath, kUid, value)));
}

TEST_CASE("a row passes for no other", "[secrets][envelope]") {
  Ring keys;
  const std::string row = SealRow(keys.ring, kPath, kUid, SecretBytes::CopyOf("hunter2"));
  const std::string digest = CiphertextDigest(row);
  const std::string other_uid(16, 'v');
  CHECK(absl::IsDataLoss(OpenRow(keys.ring, kPath, other_uid, digest, row).status()));
  CHECK(absl::IsDataLoss(OpenRow(keys.ring, kPath + "2", kUid, digest, row).status()));
  CHECK(absl::IsDataLoss(OpenRow(keys.ring, kPath, kUid, std::string(32, 'd'), row).status()));
  CHECK(absl::IsDataLoss(OpenRow(keys.ring, kPath, kUid, digest, "").status()));
}

TEST_CASE("a changed row is not opened", "[secrets][envelope]") {
  Ring keys;
  const std::string row = SealRow(keys.ring, kPath, kUid, SecretBytes::CopyOf("hunter2"));
  const std::string digest = CiphertextDigest(row);
  for (size_t i = 0; i < row.size(); ++i) {
    std::string changed = row;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    CHECK_FALSE(OpenRow(keys.ring, kPath, kUid, digest, changed).ok());
  }
  SECTION("not even where the log was made to agree") {
    v1::SecretRow stored;
    REQUIRE(stored.ParseFromString(row));
    stored.mutable_ciphertext()->back() ^= 1;
    const std::string changed = stored.SerializeAsString();
    CHECK(absl::IsDataLoss(
        OpenRow(keys.ring, kPath, kUid, CiphertextDigest(changed), changed).status()));
  }
}

TEST_CASE("another key ring does not open a row, and says why", "[secrets][envelope]") {
  Ring keys;
  Ring others;
  const std::string row = SealRow(keys.ring, kPath, kUid, SecretBytes::CopyOf("hunter2"));
  const auto opened = OpenRow(others.ring, kPath, kUid, CiphertextDigest(row), row).status();
  CHECK(absl::IsFailedPrecondition(opened));
  CHECK_THAT(std::string(opened.message()), Catch::Contains(kPath));
}

}  // namespace
}  // namespace berth::secrets
