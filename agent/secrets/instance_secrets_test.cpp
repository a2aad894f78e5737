#include "agent/secrets/instance_secrets.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/files/atomic_file.h"
#include "common/secrets/grant.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth::agent {
namespace {

using Catch::Contains;
using scheduler::v1::Assignment;

constexpr char kHost[] = "alpha";
constexpr size_t kSizeMax = 1 << 20;

// A host, and a berth-secrets that answers it while it is there.
struct Platform {
  Platform()
      : memory("/dev/shm/berth-secrets-test-" + std::to_string(getpid())),
        bundles(disk.File("bundles")),
        mount(memory),
        secrets(kHost, &key, &bundles, &mount,
                [this](const auto& signed_grant) { return Answer(signed_grant); }) {}
  ~Platform() { std::filesystem::remove_all(memory); }

  absl::StatusOr<secrets::v1::GetBundleResponse> Answer(
      const secrets::v1::SignedSecretGrant& signed_grant) {
    ++asked;
    if (!reachable) return absl::UnavailableError("berth-secrets does not answer");
    const auto grant = VerifyGrant(signed_grant);
    REQUIRE(grant.status() == absl::OkStatus());
    std::map<std::string, SecretBytes> sealed;
    for (const auto& [name, version] : grant->versions()) {
      sealed.emplace(name, SecretBytes::CopyOf(absl::StrCat(name, "-is-", version, tail)));
    }
    return SealBundle(answered_grant.value_or(*grant), sealed, key.public_key());
  }

  // An instance that is given these versions.
  Assignment Placed(const std::map<std::string, uint64_t>& versions,
                    const std::string& host = kHost) const {
    Assignment assignment;
    assignment.set_instance("web-1");
    assignment.mutable_environment()->set_org("acme");
    assignment.mutable_environment()->set_app("notes");
    assignment.mutable_environment()->set_env("production");
    assignment.mutable_secret_versions()->insert(versions.begin(), versions.end());
    secrets::v1::SecretGrant grant;
    grant.set_host(host);
    *grant.mutable_environment() = assignment.environment();
    *grant.mutable_versions() = assignment.secret_versions();
    *assignment.mutable_secret_grant() = SignGrant(grant, scheduler_key);
    return assignment;
  }

  // The content of the file that Prepare made.
  std::string Prepared(const Assignment& assignment) {
    const auto given = secrets.Prepare(assignment);
    REQUIRE(given.status() == absl::OkStatus());
    return *ReadFile(given->file, kSizeMax);
  }

  const SigningKey scheduler_key = SigningKey::Generate();
  const SealingKey key = SealingKey::Generate();
  std::string memory;
  testing::TempDir disk;
  BundleStore bundles;
  SecretsMount mount;
  bool reachable = true;
  int asked = 0;
  std::string tail;                                        // Of every value.
  std::optional<secrets::v1::SecretGrant> answered_grant;  // Another one than was asked with.
  InstanceSecrets secrets;
};

TEST_CASE("an instance is given the values of its grant", "[agent][instance-secrets]") {
  Platform platform;
  const std::string file = platform.Prepared(platform.Placed({{"api-key", 2}, {"database", 7}}));
  CHECK(absl::StartsWith(file,
                         "# berth-secrets v1\nAPI_KEY=\"api-key-is-2\"\n"
                         "DATABASE=\"database-is-7\"\n# sha256:"));
}

TEST_CASE("what was given once is given again without the control plane",
          "[agent][instance-secrets]") {
  Platform platform;
  const Assignment assignment = platform.Placed({{"api-key", 2}});
  const std::string file = platform.Prepared(assignment);
  platform.reachable = false;
  std::filesystem::remove_all(platform.memory);  // As a reboot does.
  CHECK(platform.Prepared(assignment) == file);
  CHECK(platform.asked == 1);
  SECTION("but not another version") {
    CHECK(platform.secrets.Prepare(platform.Placed({{"api-key", 3}})).status().code() ==
          absl::StatusCode::kUnavailable);
  }
  SECTION("nor from what is no bundle any more") {
    REQUIRE(WriteFileAtomically(platform.disk.File("bundles/web-1"), "torn", 0600) ==
            absl::OkStatus());
    CHECK_FALSE(platform.secrets.Prepare(assignment).ok());
    platform.reachable = true;
    CHECK(platform.Prepared(assignment) == file);
  }
}

TEST_CASE("what is on disk is sealed and its owner's alone", "[agent][instance-secrets]") {
  Platform platform;
  platform.Prepared(platform.Placed({{"api-key", 2}}));
  const std::string path = platform.disk.File("bundles/web-1");
  struct stat file;
  REQUIRE(stat(path.c_str(), &file) == 0);
  CHECK((file.st_mode & 07777) == 0600);
  CHECK_THAT(*ReadFile(path, kSizeMax), !Contains("api-key-is-2"));
}

TEST_CASE("a grant that is not for this host and instance is not used",
          "[agent][instance-secrets]") {
  Platform platform;
  Assignment assignment = platform.Placed({{"api-key", 2}});
  SECTION("another host's") { assignment = platform.Placed({{"api-key", 2}}, "beta"); }
  SECTION("another environment's") { assignment.mutable_environment()->set_env("staging"); }
  SECTION("other versions than told") { (*assignment.mutable_secret_versions())["api-key"] = 3; }
  SECTION("one that was changed") {
    assignment.mutable_secret_grant()->mutable_grant()->append("\x12");
  }
  CHECK(platform.secrets.Prepare(assignment).status().code() ==
        absl::StatusCode::kPermissionDenied);
  CHECK(platform.asked == 0);
}

TEST_CASE("a bundle for another grant is not used", "[agent][instance-secrets]") {
  Platform platform;
  platform.answered_grant = *VerifyGrant(platform.Placed({{"api-key", 1}}).secret_grant());
  CHECK_FALSE(platform.secrets.Prepare(platform.Placed({{"api-key", 2}})).ok());
  CHECK_FALSE(platform.bundles.Load("web-1").ok());
}

TEST_CASE("variables are given only where the manifest asks for them",
          "[agent][instance-secrets]") {
  Platform platform;
  Assignment assignment = platform.Placed({{"api-key", 2}, {"database", 7}});
  CHECK(platform.secrets.Prepare(assignment)->env.empty());
  (*assignment.mutable_process()->mutable_secrets()->mutable_env())["TOKEN"] = "api-key";
  CHECK(platform.secrets.Prepare(assignment)->env ==
        std::map<std::string, std::string>{{"TOKEN", "api-key-is-2"}});
}

TEST_CASE("a value that no file holds is refused by name", "[agent][instance-secrets]") {
  Platform platform;
  platform.tail = "\xff";
  const absl::Status refused = platform.secrets.Prepare(platform.Placed({{"api-key", 2}})).status();
  CHECK_THAT(std::string(refused.message()), Contains("secret api-key is not UTF-8"));
  CHECK_THAT(std::string(refused.message()), !Contains("api-key-is-2"));
}

TEST_CASE("nothing is left of an instance that is gone", "[agent][instance-secrets]") {
  Platform platform;
  const auto given = platform.secrets.Prepare(platform.Placed({{"api-key", 2}}));
  REQUIRE(given.ok());
  SECTION("when it was destroyed") {
    CHECK(platform.secrets.Forget("web-1") == absl::OkStatus());
    CHECK(platform.secrets.Forget("web-1") == absl::OkStatus());
  }
  SECTION("when it was missing at the start") {
    CHECK(platform.secrets.KeepOnly({"web-2"}) == absl::OkStatus());
  }
  CHECK_FALSE(std::filesystem::exists(given->file));
  CHECK_FALSE(platform.bundles.Load("web-1").ok());
}

}  // namespace
}  // namespace berth::agent
