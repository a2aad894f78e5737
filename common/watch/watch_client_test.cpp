#include "common/watch/watch_client.h"

#include <catch2/catch.hpp>

#include "google/protobuf/text_format.h"

namespace berth {
namespace {

watch::v1::WatchResponse Message(const std::string& text) {
  watch::v1::WatchResponse message;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

constexpr char kSnapshot[] =
    "begin {} chunk { entries { key: 'a' value: '1' } } synced { revision { position: 5 } }";

TEST_CASE("a watch client refuses what would lose or repeat a change", "[watch]") {
  WatchClient client;
  REQUIRE(client.Receive(Message(kSnapshot)).ok());
  auto code = [&](const std::string& text) {
    return client.Receive(Message(text)).status().code();
  };
  SECTION("a gap") {
    CHECK(code("deltas { from: 6 to { position: 7 } }") == absl::StatusCode::kDataLoss);
  }
  SECTION("a duplicate") {
    CHECK(code("deltas { from: 3 to { position: 5 } }") == absl::StatusCode::kDataLoss);
  }
  SECTION("a gap between two deltas of one message changes nothing") {
    CHECK(code("deltas { from: 5 to { position: 6 } changes { key: 'a' removed: true } }"
               "deltas { from: 8 to { position: 9 } }") == absl::StatusCode::kDataLoss);
    CHECK(client.entries().contains("a"));
  }
  SECTION("a chunk without its beginning") {
    CHECK(code("chunk { entries { key: 'b' value: '1' } }") == absl::StatusCode::kDataLoss);
  }
  SECTION("a delta inside a snapshot") {
    REQUIRE(client.Receive(Message("begin {}")).ok());
    CHECK(code("deltas { from: 5 to { position: 6 } }") == absl::StatusCode::kDataLoss);
  }
  SECTION("a bookmark that goes back") {
    CHECK(code("bookmark { revision { position: 4 } }") == absl::StatusCode::kDataLoss);
  }
}

TEST_CASE("a snapshot replaces the entries only once it is complete", "[watch]") {
  WatchClient client;
  REQUIRE(client.Receive(Message(kSnapshot)).ok());
  REQUIRE(client
              .Receive(Message("begin { history_changed: true }"
                               "chunk { entries { key: 'b' value: '2' } }"))
              .ok());
  CHECK(client.entries() == WatchClient::Entries{{"a", "1"}});
  SECTION("complete") {
    const auto update = client.Receive(Message("synced { revision { position: 2 } }"));
    REQUIRE(update.ok());
    CHECK(update->history_changed);
    CHECK(update->keys == std::vector<std::string>{"b", "a"});
    CHECK(client.entries() == WatchClient::Entries{{"b", "2"}});
    CHECK(client.revision()->position() == 2);
  }
  SECTION("cut off half-way") {
    client.StreamEnded();
    CHECK(client.revision()->position() == 5);
    CHECK(client.Receive(Message("deltas { from: 5 to { position: 6 } }")).ok());
  }
}

}  // namespace
}  // namespace berth
