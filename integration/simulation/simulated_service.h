#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "berth/eventlog/v1/record.pb.h"
#include "common/check/check.h"
#include "common/eventlog/logged_state.h"
#include "common/status/status_macros.h"
#include "integration/simulation/history.h"
#include "integration/simulation/journal.h"
#include "integration/simulation/read_checker.h"
#include "integration/simulation/service_host.h"
#include "integration/simulation/stream_model.h"
#include "integration/simulation/watch_checker.h"
#include "integration/simulation/write_checker.h"

namespace berth::simulation {

// What the logs of a world are kept on.
enum class KeptOn { kDisks, kDatabase };

// A service of a world, be it one process on a disk or copies on a database, with what is known of
// its log; and its promises, which are checked once the world has come to rest.
template <typename State>
class SimulatedService {
 public:
  using FollowAccess = std::function<std::shared_ptr<void>(const Foundation&)>;

  SimulatedService(World* world, Network* network, const ServiceHost::Make& make,
                   const FollowAccess& follow_access,
                   const std::shared_ptr<MemoryDatabase>& database = nullptr, int copies = 1)
      : journal_(world, State::kStream) {
    for (const std::string& name : Addresses(copies)) {
      hosts_.push_back(std::make_unique<ServiceHost>(world, network, &journal_, name, database,
                                                     make, follow_access));
    }
  }

  // Where clients find it.
  static std::vector<std::string> Addresses(int copies) {
    std::vector<std::string> addresses;
    for (int i = 0; i < copies; ++i) addresses.push_back(absl::StrCat(State::kStream, "-", i));
    return addresses;
  }

  const std::vector<std::unique_ptr<ServiceHost>>& hosts() const { return hosts_; }
  std::vector<std::string> addresses() const { return Addresses(static_cast<int>(hosts_.size())); }

  const std::vector<Journal::Entry>& entries() const { return journal_.entries(); }
  void SetObserver(std::function<void(const StoredRecord&)> observer) {
    journal_.SetObserver(std::move(observer));
  }

  void Begin() {
    for (const auto& host : hosts_) host->process().Begin();
  }

  // Whether its commands and questions in the history are linearizable. `answer` is what a state
  // answers to a question; see CheckWrites for `silent`. `last`, where there is one, gets the state
  // that all records make.
  absl::Status CheckHistory(
      const std::vector<Operation>& history,
      const std::function<absl::StatusOr<std::string>(const State&, const Operation&)>& answer,
      const std::set<std::string>& silent = {}, State* last = nullptr) const {
    BERTH_RETURN_IF_ERROR(CheckWrites(entries(), State::kStream, history, silent));
    ReplayOf<State> model;
    BERTH_RETURN_IF_ERROR(
        CheckReads(entries(), State::kStream, history, &model,
                   [&](const Operation& question) { return answer(model.state(), question); }));
    if (last != nullptr) *last = model.state();
    return absl::OkStatus();
  }

  // The guarantees of its watches.
  absl::Status CheckWatched(const std::vector<WatchHistory>& watched) const {
    return CheckWatches(
        entries(), State::kStream, [] { return std::make_unique<ReplayOf<State>>(); }, watched);
  }

  // Ends it by a loss of power: whether a later start would find what is known to be stored.
  absl::Status EndAndCheckLog() {
    for (const auto& host : hosts_) host->End();
    return hosts_.front()->CheckLog(std::make_unique<LoggedStateOf<State>>());
  }

  uint64_t lives() const {
    uint64_t lives = 0;
    for (const auto& host : hosts_) lives += host->process().lives();
    return lives;
  }
  uint64_t takeovers() const {
    uint64_t takeovers = 0;
    for (const Journal::Entry& entry : entries()) {
      eventlog::v1::Record record;
      BERTH_CHECK(record.ParseFromString(entry.record.bytes));
      if (record.method() == "LeaderStarted") ++takeovers;
    }
    return takeovers;
  }

 private:
  Journal journal_;
  std::vector<std::unique_ptr<ServiceHost>> hosts_;
};

}  // namespace berth::simulation
