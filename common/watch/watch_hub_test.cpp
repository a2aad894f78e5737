#include "common/watch/watch_hub.h"

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "common/watch/watch_client.h"

namespace berth {
namespace {

watch::v1::Revision At(uint64_t position) {
  watch::v1::Revision revision;
  revision.set_position(position);
  revision.set_hash(absl::StrCat("hash-", position));
  return revision;
}

// A hub whose topic "t" the test keeps a model of, and which resyncs at once.
struct Model {
  Model() : Model(WatchHub::Limits()) {}
  explicit Model(WatchHub::Limits limits)
      : hub(limits, [this](std::shared_ptr<Watcher> watcher) {
          ++resyncs;
          Snapshot(watcher);
        }) {}

  void Put(const std::string& key, std::optional<std::string> value) {
    ++position;
    if (value.has_value()) {
      entries[key] = *value;
    } else {
      entries.erase(key);
    }
    hub.Publish(At(position), {{"t", key, std::move(value)}, {"other", key, "x"}});
  }

  void Snapshot(const std::shared_ptr<Watcher>& watcher) {
    hub.Snapshot(watcher, At(position), false, [this] {
      ++snapshots_made;
      return TopicEntries(entries.begin(), entries.end());
    });
  }

  std::map<std::string, std::string> entries;
  uint64_t position = 0;
  int resyncs = 0;
  int snapshots_made = 0;
  WatchHub hub;
};

// A watcher with the client that checks what it gets.
struct Follower {
  Follower() : watcher(std::make_shared<Watcher>("t", [this] { ++ready; })) {}

  // Messages taken until there is nothing more.
  int Drain() {
    int messages = 0;
    int ready_before = 0;
    do {
      ready_before = ready;
      for (WatchFrame frame = watcher->Next(); !frame.empty(); frame = watcher->Next()) {
        std::string bytes;
        for (const auto& piece : frame) bytes += *piece;
        pieces.insert(pieces.end(), frame.begin(), frame.end());
        watch::v1::WatchResponse message;
        REQUIRE(message.ParseFromString(bytes));
        REQUIRE(client.Receive(message).status() == absl::OkStatus());
        ++messages;
      }
    } while (ready != ready_before);
    return messages;
  }

  int ready = 0;
  WatchFrame pieces;  // Of all messages.
  WatchClient client;
  std::shared_ptr<Watcher> watcher;
};

TEST_CASE("a watcher sees a snapshot, then every delta", "[watch]") {
  Model model;
  model.Put("a", "1");
  Follower follower;
  model.Snapshot(follower.watcher);
  follower.Drain();
  CHECK(follower.client.entries() == model.entries);
  model.Put("b", "2");
  model.Put("a", std::nullopt);
  CHECK(follower.ready == 2);
  CHECK(follower.Drain() == 1);
  CHECK(follower.client.entries() == model.entries);
  CHECK(follower.client.revision()->position() == model.position);
}

TEST_CASE("a watcher that fell off the ring is resynced on the same stream", "[watch]") {
  WatchHub::Limits limits;
  limits.ring_deltas_max = 4;
  Model model(limits);
  Follower follower;
  model.Snapshot(follower.watcher);
  follower.Drain();
  for (int i = 0; i < 4; ++i) model.Put(absl::StrCat("k", i), "v");
  CHECK(follower.Drain() == 1);
  CHECK(model.resyncs == 0);
  for (int i = 0; i < 5; ++i) model.Put(absl::StrCat("k", i), std::nullopt);
  follower.Drain();
  CHECK(model.resyncs == 1);
  CHECK(follower.client.entries() == model.entries);
}

TEST_CASE("a watch resumes where the ring reaches back to", "[watch]") {
  WatchHub::Limits limits;
  limits.ring_deltas_max = 3;
  Model model(limits);
  Follower first;
  model.Snapshot(first.watcher);
  for (int i = 0; i < 5; ++i) {
    model.Put(absl::StrCat("k", i), "v");
    if (i == 1) first.Drain();
  }
  const std::optional<watch::v1::Revision> revision = first.client.revision();
  REQUIRE(revision->position() == 2);

  Follower second;
  second.client = first.client;
  CHECK(model.hub.Resume(second.watcher, *revision));
  CHECK(second.Drain() == 1);
  CHECK(second.client.entries() == model.entries);

  model.Put("k5", "v");
  Follower third;
  CHECK_FALSE(model.hub.Resume(third.watcher, *revision));
}

TEST_CASE("an idle watcher gets bookmarks and nobody else does", "[watch]") {
  Model model;
  Follower idle;
  Follower busy;
  model.Snapshot(idle.watcher);
  model.Snapshot(busy.watcher);
  idle.Drain();
  busy.Drain();
  model.hub.Publish(At(++model.position), {});
  model.hub.MarkIdle();
  CHECK(idle.Drain() == 1);
  CHECK(idle.client.revision()->position() == model.position);
  model.Put("a", "1");
  model.hub.MarkIdle();
  CHECK(busy.Drain() == 1);
  CHECK(busy.client.entries() == model.entries);
}

TEST_CASE("watchers that come while nothing changes share one snapshot's bytes", "[watch]") {
  Model model;
  model.Put("a", "1");
  Follower first;
  Follower second;
  model.Snapshot(first.watcher);
  // Records that are not about the topic do not make it another one, but its revision is later.
  model.hub.Publish(At(++model.position), {});
  model.Snapshot(second.watcher);
  CHECK(model.snapshots_made == 1);
  first.Drain();
  second.Drain();
  REQUIRE(first.pieces.size() == 3);
  REQUIRE(second.pieces.size() == 3);
  CHECK(first.pieces[1] == second.pieces[1]);
  CHECK(second.client.revision()->position() == model.position);

  SECTION("a change makes another one") {
    model.Put("a", "2");
    Follower third;
    model.Snapshot(third.watcher);
    CHECK(model.snapshots_made == 2);
    third.Drain();
    CHECK(third.client.entries() == model.entries);
  }
  SECTION("one that nobody asks for is let go") {
    model.hub.MarkIdle();
    model.hub.MarkIdle();
    Follower third;
    model.Snapshot(third.watcher);
    CHECK(model.snapshots_made == 2);
  }
  SECTION("so is one of a history that is loaded again") {
    model.hub.Reset(model.position);
    CHECK(model.snapshots_made == 2);
  }
}

TEST_CASE("a watcher that is dropped is forgotten", "[watch]") {
  Model model;
  {
    Follower follower;
    model.Snapshot(follower.watcher);
    CHECK(model.hub.watchers() == 1);
  }
  model.Put("a", "1");
  CHECK(model.hub.watchers() == 0);
}

}  // namespace
}  // namespace berth
