#include "edge/client_hello.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>

#include "edge/client_hello_builder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace Catch {

template <>
struct StringMaker<berth::edge::HelloVerdict> {
  static std::string convert(const berth::edge::HelloVerdict& verdict) {
    struct Printer {
      std::string operator()(const berth::edge::NeedMoreBytes&) const { return "need more bytes"; }
      std::string operator()(const berth::edge::ServerName& name) const {
        return "server name " + name.hostname.value_or("(none)");
      }
      std::string operator()(const berth::edge::NotTls&) const { return "not TLS"; }
      std::string operator()(const berth::edge::MalformedHello& hello) const {
        return "malformed: " + std::string(hello.reason);
      }
      std::string operator()(const berth::edge::HelloTooLarge&) const { return "too large"; }
    };
    return std::visit(Printer(), verdict);
  }
};

}  // namespace Catch

namespace berth::edge {
namespace {

using testing::HelloMessage;
using testing::InRecords;
using testing::NamedHello;
using testing::NamedHellos;

const std::filesystem::path kCorpus = "edge/testdata/client_hello";

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// What a caller does that gets the bytes in pieces of `piece_size`: it stops at the first verdict.
HelloVerdict ReadInPieces(const std::string& bytes, size_t piece_size) {
  for (size_t arrived = 0; arrived < bytes.size(); arrived += piece_size) {
    HelloVerdict verdict = ReadClientHello(absl::string_view(bytes).substr(0, arrived));
    if (!std::holds_alternative<NeedMoreBytes>(verdict)) return verdict;
  }
  return ReadClientHello(bytes);
}

void RunFuzzEntry(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

TEST_CASE("every named hello gets its verdict", "[edge][client-hello]") {
  for (const NamedHello& hello : NamedHellos()) {
    INFO(hello.name);
    CHECK(ReadClientHello(hello.bytes) == hello.verdict);
  }
}

TEST_CASE("the verdict does not depend on how the bytes arrive", "[edge][client-hello]") {
  for (const NamedHello& hello : NamedHellos()) {
    INFO(hello.name);
    for (const size_t piece_size : {1, 2, 3, 5, 7, 64, 1460}) {
      CHECK(ReadInPieces(hello.bytes, piece_size) == hello.verdict);
    }
  }
}

TEST_CASE("the verdict does not depend on how records split the message", "[edge][client-hello]") {
  const std::string message =
      HelloMessage({.extensions = {{{51, std::string(1216, 'k')},
                                    {0, testing::ServerNameExtension("shop.example.com")}}}});
  const HelloVerdict expected = ServerName{"shop.example.com", {}};
  const size_t smallest = (message.size() + kHelloRecordsMax - 1) / kHelloRecordsMax;
  for (size_t payload_size = smallest; payload_size <= message.size(); ++payload_size) {
    CAPTURE(payload_size);
    REQUIRE(ReadClientHello(InRecords(message, payload_size)) == expected);
  }
  CHECK(ReadClientHello(InRecords(message, smallest - 1)) == HelloVerdict(HelloTooLarge()));
}

TEST_CASE("a malformed body is refused alike in one record and in many", "[edge][client-hello]") {
  const std::string message = HelloMessage({.extensions = {{{0, "bad"}}}});
  const HelloVerdict expected = ReadClientHello(InRecords(message));
  REQUIRE(std::holds_alternative<MalformedHello>(expected));
  for (size_t payload_size = 2; payload_size < message.size(); ++payload_size) {
    CAPTURE(payload_size);
    REQUIRE(ReadClientHello(InRecords(message, payload_size)) == expected);
  }
}

TEST_CASE("a hello of exactly the largest size is read, one byte more is not",
          "[edge][client-hello]") {
  const size_t empty_size = HelloMessage({.extensions = {{{51, ""}}}}).size();
  const size_t fits = kHelloBytesMax - empty_size;
  CHECK(ReadClientHello(InRecords(HelloMessage(
            {.extensions = {{{51, std::string(fits, 'k')}}}}))) == HelloVerdict(ServerName()));
  CHECK(ReadClientHello(
            InRecords(HelloMessage({.extensions = {{{51, std::string(fits + 1, 'k')}}}}))) ==
        HelloVerdict(HelloTooLarge()));
}

TEST_CASE("bytes without a verdict never exceed the limit a caller must keep",
          "[edge][client-hello]") {
  // The worst case: the largest message in the most records.
  const std::string message =
      HelloMessage({.extensions = {{{51, std::string(kHelloBytesMax - 100, 'k')}}}});
  const std::string bytes = InRecords(message, message.size() / kHelloRecordsMax + 1);
  CHECK(bytes.size() <= kHelloWireBytesMax);
  CHECK(ReadClientHello(absl::string_view(bytes).substr(0, bytes.size() - 1)) ==
        HelloVerdict(NeedMoreBytes()));
}

TEST_CASE("the corpus holds the named hellos", "[edge][client-hello]") {
  for (const NamedHello& hello : NamedHellos()) {
    INFO(hello.name);
    CHECK(ReadFile(kCorpus / hello.name) == hello.bytes);
  }
}

TEST_CASE("what real clients send is understood", "[edge][client-hello]") {
  CHECK(ReadClientHello(ReadFile(kCorpus / "real_openssl_3_tls13")) ==
        HelloVerdict(ServerName{"shop.example.com", {"h2", "http/1.1"}}));
  CHECK(ReadClientHello(ReadFile(kCorpus / "real_openssl_3_tls12")) ==
        HelloVerdict(ServerName{"shop.example.com", {}}));
  CHECK(ReadClientHello(ReadFile(kCorpus / "real_curl_7_88")) ==
        HelloVerdict(ServerName{"shop.example.com", {"h2", "http/1.1"}}));
}

TEST_CASE("the fuzz entry survives the corpus and mutations of it", "[edge][client-hello]") {
  constexpr int kMutationsPerFile = 200;
  std::mt19937 random(1);  // The same mutations in every run.
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kCorpus)) {
    const std::string original = ReadFile(entry.path());
    RunFuzzEntry(original);
    ++files;
    for (int i = 0; i < kMutationsPerFile && !original.empty(); ++i) {
      std::string mutated = original;
      for (size_t changes = 1 + random() % 4; changes > 0; --changes) {
        mutated[random() % mutated.size()] = static_cast<char>(random());
      }
      if (random() % 4 == 0) mutated.resize(random() % mutated.size());
      RunFuzzEntry(mutated);
    }
  }
  CHECK(files >= NamedHellos().size());
}

// Not a check: writes the corpus anew after a change to the named hellos.
TEST_CASE("write the corpus", "[.][write-corpus]") {
  for (const NamedHello& hello : NamedHellos()) {
    std::ofstream(kCorpus / hello.name, std::ios::binary) << hello.bytes;
  }
}

}  // namespace
}  // namespace berth::edge
