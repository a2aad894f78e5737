#include "common/crypto/key_ring.h"

#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <thread>

#include "common/crypto/aead.h"
#include "common/files/atomic_file.h"
#include "common/testing/temp_dir.h"

namespace berth {
namespace {

constexpr char kDigits[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

KeyRing Load(const std::string& path) {
  auto ring = KeyRing::LoadOrCreate(path);
  REQUIRE(ring.ok());
  return *std::move(ring);
}

TEST_CASE("a ring is made once, for its owner only, and read back", "[crypto][key-ring]") {
  const testing::TempDir dir;
  const KeyRing made = Load(dir.File("ring"));
  CHECK(made.size() == 1);
  struct stat status = {};
  REQUIRE(stat(dir.File("ring").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  const KeyRing read = Load(dir.File("ring"));
  CHECK(read.current_key_id() == made.current_key_id());
  const SecretBytes data_key = SecretBytes::Random(kEncryptionKeySize);
  CHECK(read.Unwrap(made.Wrap(data_key, "place"), "place")->view() == data_key.view());
}

TEST_CASE("the file has the documented format", "[crypto][key-ring]") {
  const testing::TempDir dir;
  const std::string path = dir.File("ring");
  KeyRing ring = Load(path);
  REQUIRE(ring.Rotate().ok());
  const std::string text = *ReadFile(path, 10'000);
  CHECK_THAT(text, Catch::Matches("berth-key-ring v1\n([0-9a-f]{16} [0-9a-f]{64}\n){2}"));
  CHECK_THAT(text, Catch::Contains("\n" + ring.current_key_id() + " "));
  REQUIRE(WriteFileAtomically(path,
                              absl::string_view("berth-key-ring v1\n0011223344556677 " +
                                                std::string(kDigits) + "\n"),
                              0600)
              .ok());
  CHECK(Load(path).current_key_id() == "0011223344556677");
}

TEST_CASE("after a rotation old keys still unwrap and the new one wraps", "[crypto][key-ring]") {
  const testing::TempDir dir;
  KeyRing ring = Load(dir.File("ring"));
  const std::string old_id = ring.current_key_id();
  const SecretBytes data_key = SecretBytes::Random(kEncryptionKeySize);
  const std::string old_wrapped = ring.Wrap(data_key, "place");
  const auto new_id = ring.Rotate();
  REQUIRE(new_id.ok());
  CHECK(*new_id != old_id);
  CHECK(ring.current_key_id() == *new_id);
  const std::string new_wrapped = ring.Wrap(data_key, "place");
  CHECK(*KeyRing::KeyIdOf(old_wrapped) == old_id);
  CHECK(*KeyRing::KeyIdOf(new_wrapped) == *new_id);

  KeyRing reloaded = Load(dir.File("ring"));
  CHECK(reloaded.Unwrap(old_wrapped, "place")->view() == data_key.view());
  CHECK(reloaded.Unwrap(new_wrapped, "place")->view() == data_key.view());

  REQUIRE(reloaded.RemoveOldKeys().ok());
  CHECK(reloaded.size() == 1);
  CHECK(reloaded.Unwrap(new_wrapped, "place").ok());
  const auto refused = Load(dir.File("ring")).Unwrap(old_wrapped, "place");
  CHECK(refused.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(refused.status().message()),
             Catch::Contains(old_id) && Catch::Contains(dir.File("ring")));
}

TEST_CASE("a rotation keeps what another process added, and a reload shows it",
          "[crypto][key-ring]") {
  const testing::TempDir dir;
  KeyRing mine = Load(dir.File("ring"));
  KeyRing other = Load(dir.File("ring"));
  REQUIRE(other.Rotate().ok());
  const std::string wrapped = other.Wrap(SecretBytes::Random(kEncryptionKeySize), "");
  CHECK(mine.Unwrap(wrapped, "").status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(mine.RemoveOldKeys().code() == absl::StatusCode::kAborted);
  SECTION("by rotating") {
    REQUIRE(mine.Rotate().ok());
    CHECK(mine.size() == 3);
  }
  SECTION("by reloading") { REQUIRE(mine.Reload().ok()); }
  CHECK(mine.Unwrap(wrapped, "").ok());
}

TEST_CASE("a ring has an end", "[crypto][key-ring]") {
  const testing::TempDir dir;
  std::string text = "berth-key-ring v1\n";
  for (size_t i = 0; i < KeyRing::kKeysMax; ++i) {
    char id[17];
    snprintf(id, sizeof(id), "%016zx", i);
    text += std::string(id) + " " + kDigits + "\n";
  }
  REQUIRE(WriteFileAtomically(dir.File("ring"), text, 0600).ok());
  KeyRing ring = Load(dir.File("ring"));
  CHECK(ring.Rotate().status().code() == absl::StatusCode::kResourceExhausted);
  CHECK(ring.size() == KeyRing::kKeysMax);
}

TEST_CASE("a wrapped key is bound to its place and its bytes", "[crypto][key-ring]") {
  const testing::TempDir dir;
  KeyRing ring = Load(dir.File("ring"));
  REQUIRE(ring.Rotate().ok());
  const std::string wrapped = ring.Wrap(SecretBytes::Random(kEncryptionKeySize), "place");
  REQUIRE(ring.Unwrap(wrapped, "place").ok());
  CHECK(ring.Unwrap(wrapped, "another").status().code() == absl::StatusCode::kDataLoss);
  for (size_t i = 0; i < wrapped.size(); ++i) {
    std::string changed = wrapped;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    CHECK_FALSE(ring.Unwrap(changed, "place").ok());
    CHECK_FALSE(ring.Unwrap(wrapped.substr(0, i), "place").ok());
  }
}

TEST_CASE("a ring that others may read is refused", "[crypto][key-ring]") {
  const testing::TempDir dir;
  Load(dir.File("ring"));
  REQUIRE(chmod(dir.File("ring").c_str(), 0644) == 0);
  const auto ring = KeyRing::LoadOrCreate(dir.File("ring"));
  REQUIRE(ring.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(ring.status().message()),
             Catch::Contains("chmod 600 " + dir.File("ring")));
}

TEST_CASE("what is no ring is refused, left alone, and never quoted", "[crypto][key-ring]") {
  const testing::TempDir dir;
  const std::string digits = kDigits;
  const std::string text = GENERATE_COPY(values<std::string>({
      "",
      "berth-key-ring v1\n",
      "berth-key-ring v2\n0011223344556677 " + digits + "\n",
      "berth-key-ring v1\n0011223344556677 " + digits,
      "berth-key-ring v1\n0011223344556677 " + digits + "\n\n",
      "berth-key-ring v1\n0011223344556677-" + digits + "\n",
      "berth-key-ring v1\n001122334455667g " + digits + "\n",
      "berth-key-ring v1\n0011223344556677 " + digits.substr(1) + "g\n",
      "berth-key-ring v1\n0011223344556677 " + digits + "\n0011223344556677 " + digits + "\n",
  }));
  REQUIRE(WriteFileAtomically(dir.File("ring"), text, 0600).ok());
  const auto ring = KeyRing::LoadOrCreate(dir.File("ring"));
  REQUIRE(ring.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(ring.status().message()), !Catch::Contains(digits.substr(1, 16)));
  CHECK(*ReadFile(dir.File("ring"), 10'000) == text);
}

TEST_CASE("processes that make the ring at once share it", "[crypto][key-ring]") {
  const testing::TempDir dir;
  constexpr size_t kThreads = 4;
  std::vector<std::string> ids(kThreads);
  std::vector<std::thread> threads;
  for (std::string& id : ids) {
    threads.emplace_back([&dir, &id] {
      const auto ring = KeyRing::LoadOrCreate(dir.File("ring"));
      if (ring.ok()) id = ring->current_key_id();
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(ids[0].size() == 16);
  CHECK(std::count(ids.begin(), ids.end(), ids[0]) == kThreads);
}

}  // namespace
}  // namespace berth
