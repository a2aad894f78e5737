#include "common/rpc/importer.h"

#include <catch2/catch.hpp>
#include <deque>
#include <optional>
#include <utility>

#include "common/clock/manual_clock.h"
#include "common/executor/manual_executor.h"
#include "common/ids/sequential_id_source.h"
#include "common/status/error_details.h"
#include "common/testing/printers.h"

namespace berth::rpc {
namespace {

using watch::v1::WatchResponse;

// The other end of a watch: the stream that was opened last, and how often one was.
struct FakeSource {
  struct Ignored : ClientStream {
    void Send(const std::string&) override {}
  };

  Importer::Source As(const std::string& name) {
    return {name, [this](const auto& resume, auto received, auto) {
              ++opened;
              resumed = resume;
              send = std::move(received);
              return std::make_unique<Ignored>();
            }};
  }

  void Snapshot(uint64_t position, const WatchClient::Entries& entries) {
    WatchResponse message;
    message.mutable_begin();
    for (const auto& [key, value] : entries) {
      watch::v1::Change* entry = message.mutable_chunk()->add_entries();
      entry->set_key(key);
      entry->set_value(value);
    }
    message.mutable_synced()->mutable_revision()->set_position(position);
    send(message);
  }

  void Change(uint64_t from, const std::string& key, const std::optional<std::string>& value) {
    WatchResponse message;
    watch::v1::Delta* delta = message.add_deltas();
    delta->set_from(from);
    delta->mutable_to()->set_position(from + 1);
    delta->add_changes()->set_key(key);
    if (value.has_value()) delta->mutable_changes(0)->set_value(*value);
    send(message);
  }

  void Bookmark(uint64_t position) {
    WatchResponse message;
    message.mutable_bookmark()->mutable_revision()->set_position(position);
    send(message);
  }

  int opened = 0;
  std::optional<watch::v1::Revision> resumed;
  std::function<void(const WatchResponse&)> send;
};

struct Learner {
  Learner()
      : importer("scheduler", &executor, &ids,
                 [this](const Import& import, std::function<void(absl::Status)> done) {
                   imports.push_back(import);
                   answers.push_back(std::move(done));
                 }) {}

  // What was imported next, which came off as `status` says.
  Import Take(absl::Status status = absl::OkStatus()) {
    executor.RunUntilIdle();
    REQUIRE_FALSE(imports.empty());
    Import import = imports.front();
    imports.pop_front();
    answers.front()(std::move(status));
    answers.pop_front();
    return import;
  }

  ManualClock clock;
  ManualExecutor executor{&clock};
  SequentialIdSource ids;
  std::deque<Import> imports;
  std::deque<std::function<void(absl::Status)>> answers;
  FakeSource config;
  FakeSource auth;
  Importer importer;
};

TEST_CASE("nothing is synced before each source's snapshot was imported", "[rpc][importer]") {
  Learner learner;
  CHECK(ReasonOf(learner.importer.Synced()) == reason::kNotReady);
  learner.importer.Follow({learner.config.As("config"), learner.auth.As("auth")});
  CHECK(learner.importer.Synced().message() ==
        "the scheduler has not heard from auth and config yet; try again");
  learner.config.Snapshot(3, {});
  CHECK(learner.Take().source == "config");
  CHECK(learner.importer.Synced().message() ==
        "the scheduler has not heard from auth yet; try again");
  learner.auth.Snapshot(5, {{"host/a", "1"}});
  learner.executor.RunUntilIdle();
  CHECK_FALSE(learner.importer.Synced().ok());  // It came, and is not stored yet.
  CHECK(learner.Take().revision.position() == 5);
  CHECK(learner.importer.Synced() == absl::OkStatus());
}

TEST_CASE("what changed is imported, and a bookmark is not", "[rpc][importer]") {
  Learner learner;
  learner.importer.Follow({learner.auth.As("auth")});
  learner.auth.Snapshot(1, {{"a", "1"}, {"b", "1"}});
  CHECK(learner.Take().changes.size() == 2);
  learner.auth.Change(1, "a", "2");
  learner.auth.Change(2, "b", std::nullopt);
  learner.auth.Bookmark(7);
  const Import changed = learner.Take();
  CHECK_FALSE(changed.snapshot);
  CHECK(changed.changes == decltype(changed.changes){{"a", "2"}});
  CHECK_FALSE(changed.SaysGone("b"));
  const Import removed = learner.Take();
  CHECK(removed.SaysGone("b"));
  CHECK_FALSE(removed.SaysGone("a"));
  learner.executor.RunUntilIdle();
  CHECK(learner.imports.empty());
}

TEST_CASE("a later snapshot brings every entry, so that only what is missing counts as gone",
          "[rpc][importer]") {
  Learner learner;
  learner.importer.Follow({learner.auth.As("auth")});
  learner.auth.Snapshot(1, {{"a", "1"}, {"b", "1"}});
  learner.Take();
  learner.auth.Snapshot(9, {{"a", "1"}});
  const Import import = learner.Take();
  CHECK(import.snapshot);
  CHECK_FALSE(import.SaysGone("a"));
  CHECK(import.SaysGone("b"));
  CHECK(import.SaysGone("what nobody told of before"));
}

TEST_CASE("an import that failed is made good by a snapshot", "[rpc][importer]") {
  Learner learner;
  learner.importer.Follow({learner.auth.As("auth")});
  learner.auth.Snapshot(1, {{"a", "1"}});
  learner.auth.Change(1, "a", "2");
  learner.executor.RunUntilIdle();
  learner.Take(absl::UnavailableError("the disk is full"));
  learner.Take();  // It was on its way already, and says nothing of what the snapshot held.
  CHECK_FALSE(learner.importer.Synced().ok());
  CHECK(learner.auth.opened == 1);
  learner.executor.Advance(Subscription::kRetryDelayMax);
  REQUIRE(learner.auth.opened == 2);
  CHECK_FALSE(learner.auth.resumed.has_value());
  learner.auth.Snapshot(2, {{"a", "2"}});
  CHECK(learner.Take().changes == decltype(Import::changes){{"a", "2"}});
  CHECK(learner.importer.Synced() == absl::OkStatus());
}

}  // namespace
}  // namespace berth::rpc
