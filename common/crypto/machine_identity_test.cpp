#include "common/crypto/machine_identity.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "common/crypto/certificates.h"
#include "common/crypto/hash.h"
#include "common/files/atomic_file.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth {
namespace {

MachineIdentity Load(const std::string& folder) {
  auto identity = MachineIdentity::LoadOrCreate(folder);
  REQUIRE(identity.ok());
  return *std::move(identity);
}

mode_t ModeOf(const std::string& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

TEST_CASE("a machine keeps the keys it made", "[crypto][machine-identity]") {
  const testing::TempDir dir;
  const MachineIdentity made = Load(dir.File("keys"));
  const MachineIdentity read = Load(dir.File("keys"));
  CHECK(read.public_keys() == made.public_keys());
  CHECK(read.wireguard_private_key().view() == made.wireguard_private_key().view());
  CHECK(Load(dir.File("other")).public_keys().identity != made.public_keys().identity);
}

TEST_CASE("a machine's keys are for its owner only", "[crypto][machine-identity]") {
  const testing::TempDir dir;
  const std::string folder = dir.File("keys");
  Load(folder);
  CHECK(ModeOf(folder) == 0700);
  for (const std::string name : {"identity.key", "wireguard.key", "sealing.key"}) {
    const std::string path = folder + "/" + name;
    CHECK(ModeOf(path) == 0600);
    REQUIRE(chmod(path.c_str(), 0640) == 0);
    const auto refused = MachineIdentity::LoadOrCreate(folder);
    REQUIRE(refused.status().code() == absl::StatusCode::kFailedPrecondition);
    CHECK_THAT(std::string(refused.status().message()), Catch::Contains("chmod 600 " + path));
    REQUIRE(chmod(path.c_str(), 0600) == 0);
  }
}

TEST_CASE("the key files hold what wg(8) reads and writes", "[crypto][machine-identity]") {
  const testing::TempDir dir;
  const std::string path = dir.File("wireguard.key");
  const std::string private_key =
      *HexDecode("70076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c6a");
  const std::string line = absl::Base64Escape(private_key);
  REQUIRE(WriteFileAtomically(path, line + GENERATE("", "\n"), 0600).ok());
  const MachineIdentity identity = Load(dir.path());
  CHECK(identity.wireguard_private_key().view() == private_key);
  CHECK(ReadFile(dir.File("identity.key"), 45)->size() == 45);
}

TEST_CASE("a creation that was interrupted is completed", "[crypto][machine-identity]") {
  const testing::TempDir dir;
  const std::string folder = dir.File("keys");
  const PublicKeys before = Load(folder).public_keys();
  // The identity key is made last, so this is what a crash can leave.
  REQUIRE(std::filesystem::remove(folder + "/identity.key"));
  REQUIRE(std::filesystem::remove(folder + "/sealing.key"));
  const PublicKeys after = Load(folder).public_keys();
  CHECK(after.wireguard == before.wireguard);
  CHECK(after.sealing != before.sealing);
  CHECK(VerifyPublicKeys(after) == absl::OkStatus());
}

TEST_CASE("a key that is missing beside the identity is not made anew",
          "[crypto][machine-identity]") {
  const testing::TempDir dir;
  const std::string folder = dir.File("keys");
  Load(folder);
  const std::string name = GENERATE("wireguard.key", "sealing.key");
  REQUIRE(std::filesystem::remove(folder + "/" + name));
  const auto refused = MachineIdentity::LoadOrCreate(folder);
  REQUIRE(refused.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(refused.status().message()), Catch::Contains(name));
}

TEST_CASE("a damaged key is refused and never quoted", "[crypto][machine-identity]") {
  const testing::TempDir dir;
  const std::string folder = dir.File("keys");
  Load(folder);
  const std::string text =
      GENERATE("", "\n", "c2hvcnQ=\n", "!!!!", "QUFBQUFBQUFBQUFBQUFBQUFBQUE\n");
  REQUIRE(WriteFileAtomically(folder + "/sealing.key", text, 0600).ok());
  const auto refused = MachineIdentity::LoadOrCreate(folder);
  REQUIRE(refused.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(refused.status().message()),
             Catch::EndsWith("sealing.key is no key: it does not hold 32 bytes in base64"));
}

TEST_CASE("two starts at the same time end up with the same keys", "[crypto][machine-identity]") {
  const testing::TempDir dir;
  std::vector<PublicKeys> keys(4);
  std::vector<std::thread> threads;
  for (PublicKeys& mine : keys) {
    threads.emplace_back([&dir, &mine] {
      const auto identity = MachineIdentity::LoadOrCreate(dir.File("keys"));
      if (identity.ok()) mine = identity->public_keys();
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(VerifyPublicKeys(keys[0]) == absl::OkStatus());
  for (const PublicKeys& other : keys) CHECK(other == keys[0]);
}

TEST_CASE("public keys count only as the identity signed them", "[crypto][machine-identity]") {
  const testing::TempDir dir;
  const PublicKeys keys = Load(dir.File("a")).public_keys();
  const PublicKeys others = Load(dir.File("b")).public_keys();
  REQUIRE(VerifyPublicKeys(keys) == absl::OkStatus());
  PublicKeys claimed = keys;
  std::string named;
  SECTION("another identity") {
    claimed.identity = others.identity;
    named = "wireguard";
  }
  SECTION("another wireguard key") {
    claimed.wireguard = others.wireguard;
    named = "wireguard";
  }
  SECTION("another sealing key") {
    claimed.sealing = others.sealing;
    named = "sealing";
  }
  SECTION("another machine's key with its signature") {
    claimed.sealing = others.sealing;
    claimed.sealing_signature = others.sealing_signature;
    named = "sealing";
  }
  SECTION("a sealing key in the place of the wireguard key") {
    claimed.wireguard = keys.sealing;
    claimed.wireguard_signature = keys.sealing_signature;
    named = "wireguard";
  }
  SECTION("no signature") {
    claimed.sealing_signature.clear();
    named = "sealing";
  }
  SECTION("a signed key of a wrong size") {
    const MachineIdentity identity = Load(dir.File("a"));
    claimed.sealing = "short";
    claimed.sealing_signature = identity.signing_key().Sign("berth-sealing-key-v1short");
    named = "sealing";
  }
  SECTION("nothing at all") {
    claimed = PublicKeys();
    named = "wireguard";
  }
  const absl::Status refused = VerifyPublicKeys(claimed);
  CHECK(refused.code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(refused.message()), Catch::Contains("the " + named + " key"));
}

TEST_CASE("what is signed for a machine's keys is fixed", "[crypto][machine-identity]") {
  const testing::TempDir dir;
  const PublicKeys keys = Load(dir.File("a")).public_keys();
  CHECK(VerifySignature(keys.identity, "berth-wireguard-key-v1" + keys.wireguard,
                        keys.wireguard_signature));
  CHECK(VerifySignature(keys.identity, "berth-sealing-key-v1" + keys.sealing,
                        keys.sealing_signature));
}

TEST_CASE("a machine's certificate carries its identity key", "[crypto][machine-identity]") {
  const testing::TempDir dir;
  const MachineIdentity identity = Load(dir.File("a"));
  const auto certificate = identity.CertificatePem("host-a");
  REQUIRE(certificate.ok());
  CHECK(*PublicKeyOfCertificate(*certificate) == identity.public_keys().identity);
  CHECK_THAT(*identity.PrivateKeyPem(), Catch::StartsWith("-----BEGIN PRIVATE KEY-----\n"));
}

}  // namespace
}  // namespace berth
