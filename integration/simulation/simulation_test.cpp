#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "berth/eventlog/v1/record.pb.h"
#include "common/crypto/hash.h"
#include "common/testing/printers.h"
#include "integration/simulation/process.h"
#include "integration/simulation/read_checker.h"
#include "integration/simulation/scenario.h"
#include "integration/simulation/stream_model.h"
#include "integration/simulation/watch_checker.h"
#include "integration/simulation/write_checker.h"
#include "services/config/state.h"

namespace berth::simulation {
namespace {

constexpr char kStream[] = "config";

// A log of commands, as a journal has it, and the operations of the client that asked for them.
struct History {
  void Asked(const std::string& request_id, absl::Duration called, absl::Duration answered) {
    eventlog::v1::Record record;
    record.set_stream(kStream);
    record.set_position(entries.size() + 1);
    record.mutable_actor()->set_principal("user/ada");
    record.set_method("Deploy");
    record.set_request_id(request_id);
    record.set_answer("done");
    record.mutable_outcome();
    const std::string before =
        entries.empty() ? std::string(kBlake2b256Size, '\0') : entries.back().record.hash;
    const std::string bytes = record.SerializeAsString();
    entries.push_back({{record.position(), bytes, Blake2b256({before, bytes})}, called});
    operations.push_back(
        {"user/ada", kStream, "Deploy", request_id, "", called, answered, std::string("done")});
  }

  absl::Status Check() const { return CheckWrites(entries, kStream, operations); }

  std::vector<Journal::Entry> entries;
  std::vector<Operation> operations;
};

History TwoCommands() {
  History history;
  history.Asked("one", absl::Seconds(1), absl::Seconds(2));
  history.Asked("two", absl::Seconds(3), absl::Seconds(4));
  return history;
}

TEST_CASE("a history of writes that agrees with its log passes", "[simulation][write-checker]") {
  CHECK(TwoCommands().Check() == absl::OkStatus());
}

TEST_CASE("a write that was answered and is not in the log is found",
          "[simulation][write-checker]") {
  History history = TwoCommands();
  history.entries.pop_back();
  CHECK(absl::IsInternal(history.Check()));
}

TEST_CASE("writes that stand in another order than they were made are found",
          "[simulation][write-checker]") {
  History history = TwoCommands();
  std::swap(history.operations[0].request_id, history.operations[1].request_id);
  CHECK_FALSE(history.Check().ok());
}

TEST_CASE("an answer that is not the recorded one is found", "[simulation][write-checker]") {
  History history = TwoCommands();
  history.operations.back().answer = absl::NotFoundError("there is none");
  CHECK(absl::IsInternal(history.Check()));
}

TEST_CASE("a write that was answered before it was stored is found",
          "[simulation][write-checker]") {
  History history = TwoCommands();
  history.entries.back().known = absl::Seconds(5);
  CHECK(absl::IsInternal(history.Check()));
}

TEST_CASE("a record that was changed is found", "[simulation][write-checker]") {
  History history = TwoCommands();
  history.entries.front().record.bytes.back() ^= 1;
  CHECK(absl::IsDataLoss(history.Check()));
}

TEST_CASE("an empty or shortened history of writes is an error", "[simulation][write-checker]") {
  CHECK(absl::IsFailedPrecondition(History().Check()));
  History history = TwoCommands();
  history.operations.pop_back();
  CHECK(absl::IsFailedPrecondition(history.Check()));
}

TEST_CASE("a history without questions is an error", "[simulation][read-checker]") {
  const History history = TwoCommands();
  ReplayOf<config::State> model;
  CHECK(absl::IsFailedPrecondition(
      CheckReads(history.entries, kStream, history.operations, &model,
                 [](const Operation&) -> absl::StatusOr<std::string> { return ""; })));
}

TEST_CASE("a question that was answered from the past is found", "[simulation][read-checker]") {
  History history = TwoCommands();
  // How many records the model has seen is what it is asked for here.
  struct Counter : StreamModel {
    std::vector<TopicChange> Apply(const eventlog::v1::Record&) override {
      ++records;
      return {};
    }
    TopicEntries Entries(const std::string&) const override { return {}; }
    int records = 0;
  };
  const auto check = [&history](const std::string& answer) {
    std::vector<Operation> operations = history.operations;
    operations.push_back(
        {"user/ada", kStream, "Count", "", "", absl::Seconds(5), absl::Seconds(6), answer});
    Counter counter;
    return CheckReads(history.entries, kStream, operations, &counter,
                      [&counter](const Operation&) -> absl::StatusOr<std::string> {
                        return std::to_string(counter.records);
                      });
  };
  CHECK(check("2") == absl::OkStatus());
  CHECK(absl::IsInternal(check("1")));
}

TEST_CASE("an empty or shortened history of a watch is an error", "[simulation][watch-checker]") {
  const History history = TwoCommands();
  const auto make = [] { return std::make_unique<ReplayOf<config::State>>(); };
  CHECK(absl::IsFailedPrecondition(CheckWatches(history.entries, kStream, make, {})));
  WatchHistory watch{"watcher", kStream, "environments", 3, {}};
  CHECK(absl::IsFailedPrecondition(CheckWatches(history.entries, kStream, make, {watch})));
}

TEST_CASE("a process that is stopped in the middle of a step ends it before the next",
          "[simulation][process]") {
  World world(1);
  std::vector<std::string> steps;
  Process stopped(&world, "stopped", [&](Life* life) {
    Executor* const executor = life->NewExecutor();
    executor->Post([&] {
      steps.push_back("writes");
      world.Block(absl::Seconds(1));
      steps.push_back("has written");
    });
    executor->Post([&] { steps.push_back("goes on"); });
    return nullptr;
  });
  // Waits inside a step of its own when the other one is let go on.
  Process waiting(&world, "waiting", [&](Life* life) {
    life->NewExecutor()->PostAfter(absl::Seconds(2), [&] { world.Block(absl::Seconds(4)); });
    return nullptr;
  });
  stopped.Begin();
  waiting.Begin();
  world.After(absl::Milliseconds(500), [&] { stopped.life()->Stop(absl::Seconds(3)); });
  world.RunUntil(absl::Seconds(10));
  CHECK(steps == std::vector<std::string>{"writes", "has written", "goes on"});
}

TEST_CASE("one seed is one history", "[simulation]") {
  for (const Scenario& scenario : Scenarios()) {
    INFO(scenario.name);
    for (const uint64_t seed : {uint64_t{8}, uint64_t{20'01}}) {
      const Outcome first = scenario.run(seed, false);
      const Outcome second = scenario.run(seed, false);
      INFO("seed " << seed << ": " << first.failure.value_or("passed"));
      CHECK_FALSE(first.failure.has_value());
      CHECK(first.trace_hash == second.trace_hash);
      CHECK(first.trace_hash != scenario.run(seed + 1, false).trace_hash);
    }
  }
}

TEST_CASE("a run does something and has faults", "[simulation]") {
  for (const Scenario& scenario : Scenarios()) {
    INFO(scenario.name);
    std::map<std::string, uint64_t> numbers;
    constexpr uint64_t kSeeds = 3;
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      for (const auto& [name, number] : scenario.run(seed, false).numbers) numbers[name] += number;
    }
    CHECK(numbers["commands"] > 10 * kSeeds);
    CHECK(numbers["questions"] > 3 * kSeeds);
    CHECK(numbers["messages of watches"] > 10 * kSeeds);
    CHECK(numbers["lives"] > 2 * kSeeds);
    CHECK(numbers["takeovers"] > kSeeds);
  }
}

TEST_CASE("logs are cut now and then", "[simulation]") {
  for (const char* name : {"config-sqlite", "config-database"}) {
    INFO(name);
    constexpr uint64_t kSeedsMax = 200;
    uint64_t cuts = 0;
    for (uint64_t seed = 1; cuts == 0 && seed <= kSeedsMax; ++seed) {
      cuts = FindScenario(name)->run(seed, false).numbers["cuts"];
    }
    CHECK(cuts > 0);
  }
}

}  // namespace
}  // namespace berth::simulation
