#pragma once

// The smallest service there is, for tests of what all services share: a state that counts, and one
// life of a process that serves it, on virtual time.

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "berth/config/v1/config.pb.h"
#include "berth/config/v1/events.pb.h"
#include "berth/config/v1/snapshot.pb.h"
#include "common/clock/manual_clock.h"
#include "common/eventlog/event_sourced.h"
#include "common/eventlog/memory_event_log.h"
#include "common/executor/manual_executor.h"
#include "common/ids/sequential_id_source.h"

namespace berth {

// How often each environment was promoted. It borrows config's events.
class Counter {
 public:
  using Event = config::v1::Event;

  Decided<Event, config::v1::RollbackResponse> Promote(const std::string& app,
                                                       const DecisionContext&) const {
    if (app.empty()) return absl::InvalidArgumentError("an app has a name");
    Decision<Event, config::v1::RollbackResponse> decision;
    auto* promoted = decision.events.emplace_back().mutable_release_promoted();
    promoted->mutable_environment()->set_app(app);
    promoted->set_promotion(Count(app) + 1);
    decision.response.set_promotion(Count(app) + 1);
    return decision;
  }

  // Counts how often it was set back and how often ahead, once it counts "clock" at all.
  std::vector<Event> ClockWasSet(absl::Duration by) const {
    if (Count("clock") == 0) return {};
    std::vector<Event> events(1);
    auto* promoted = events.front().mutable_release_promoted();
    promoted->mutable_environment()->set_app(by < absl::ZeroDuration() ? "set back" : "set ahead");
    promoted->set_promotion(Count(promoted->environment().app()) + 1);
    return events;
  }

  void Apply(const Event& event) {
    counts_[event.release_promoted().environment().app()] = event.release_promoted().promotion();
  }

  void Touched(const Event& event, std::set<TopicKey>* keys) const {
    keys->insert({"counts", event.release_promoted().environment().app()});
  }
  std::optional<std::string> View(const TopicKey& key) const {
    return absl::StrCat(counts_.at(key.second));
  }
  TopicEntries Entries(const std::string&) const {
    TopicEntries entries;
    for (const auto& [app, count] : counts_) entries.emplace_back(app, absl::StrCat(count));
    return entries;
  }

  using Snapshot = config::v1::StateSnapshot;
  static constexpr uint32_t kStateVersion = 1;
  Snapshot Save() const {
    Snapshot saved;
    for (const auto& [app, count] : counts_) {
      config::v1::SavedEnvironment& environment = *saved.add_environments();
      environment.set_key(app);
      environment.set_promotion(count);
    }
    return saved;
  }
  void Load(const Snapshot& saved) {
    counts_.clear();
    for (const auto& environment : saved.environments()) {
      counts_[environment.key()] = environment.promotion();
    }
  }

  uint64_t Count(const std::string& app) const {
    const auto found = counts_.find(app);
    return found == counts_.end() ? 0 : found->second;
  }

 private:
  std::map<std::string, uint64_t> counts_;
};

// What survives a process: time, and the database.
struct World {
  ManualClock clock;
  std::shared_ptr<MemoryDatabase> database = std::make_shared<MemoryDatabase>(&clock);
};

// One life of a service.
struct Process {
  explicit Process(World* world, LogWriter::Limits limits = LogWriter::Limits(),
                   const std::string& address = "")
      : log(world->database, "counter"),
        executor(&world->clock),
        counter("counter", limits, &log, &executor, &world->clock, &ids,
                {[this](const Counter&, uint64_t) {
                   told.push_back("leads");
                   if (when_it_leads != nullptr) when_it_leads();
                 },
                 [this](const Counter&, const std::vector<Counter::Event>&, uint64_t) {
                   told.push_back("published");
                 },
                 [this] { told.push_back("stepped down"); }}) {
    counter.Start({"test", address}, [this](absl::Status status) { started = status; });
    executor.RunUntilIdle();
  }

  bool Leads() { return counter.writer().Leading().ok(); }

  absl::StatusOr<uint64_t> Promote(const std::string& app, const std::string& request_id = "") {
    absl::StatusOr<uint64_t> answer = absl::InternalError("no answer");
    PromoteLater(app, request_id, &answer);
    executor.RunUntilIdle();
    return answer;
  }

  void PromoteLater(const std::string& app, const std::string& request_id,
                    absl::StatusOr<uint64_t>* answer) {
    CommandOrigin origin;
    origin.principal = "user/a";
    origin.method = "Promote";
    origin.request_id = request_id;
    origin.fingerprint = app;
    counter.Execute<config::v1::RollbackResponse>(
        origin, Recorded::kAlways,
        [app](const Counter& state, const DecisionContext& context) {
          return state.Promote(app, context);
        },
        [answer](absl::StatusOr<config::v1::RollbackResponse> response) {
          if (response.ok()) {
            *answer = response->promotion();
          } else {
            *answer = response.status();
          }
        });
  }

  uint64_t Count(const std::string& app) {
    absl::StatusOr<uint64_t> count = absl::InternalError("no answer");
    counter.Read<uint64_t>(
        [app](const Counter& state) -> absl::StatusOr<uint64_t> { return state.Count(app); },
        [&](absl::StatusOr<uint64_t> answer) { count = answer; });
    executor.RunUntilIdle();
    REQUIRE(count.ok());
    return *count;
  }

  size_t Records() { return log.Read(0, 1000)->size(); }

  SequentialIdSource ids;
  MemoryEventLog log;
  ManualExecutor executor;
  absl::Status started = absl::UnknownError("not started");
  std::vector<std::string> told;        // What the service was.
  std::function<void()> when_it_leads;  // What it does then.
  EventSourced<Counter> counter;
};

}  // namespace berth
