#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "integration/simulation/network.h"
#include "integration/simulation/reporter.h"
#include "integration/simulation/secret_values.h"
#include "integration/simulation/watcher.h"

namespace berth::simulation {

// A host with an agent, as the scheduler sees both: it brings about what is asked of it, in time
// that chance gives, and reports what became of it on every change and every few seconds. What runs
// survives the agent, as containers do; some of it cannot be started, and some ends by itself. What
// has secrets starts once they were fetched.
//
// It fails the world where it is told what goes back on an earlier word, or more than fits on it.
//
// The real agent is not in it: its loop blocks on its driver.
class ModelAgent {
 public:
  struct Options {
    std::string host;
    std::vector<std::string> schedulers;  // The processes that answer; one of them leads.
    std::vector<std::string> secrets;     // As those.
    uint64_t memory_bytes = 0;
    SecretValues* values;  // Hears which its instances are given.
  };

  ModelAgent(World* world, Network* network, Options options);

  const std::string& host() const { return options_.host; }
  Process& process() { return watcher_.process(); }
  // What it was told.
  WatchHistory History() const { return watcher_.History(); }

  // From now on everything can be started, and what is started runs on.
  void StopFailing() { failing_ = false; }

  // Whether what there is on the host is what the entries of its topic ask for.
  absl::Status CheckRuns(const TopicEntries& entries) const;

 private:
  struct Local {
    scheduler::v1::Assignment assignment;
    scheduler::v1::InstanceReport report;
    bool stopping = false;  // It was told to; that word is never taken back.
    bool fetching = false;  // Its secrets, before it starts.
    uint64_t turn = 0;      // What is to become of it counts for this turn only.
  };
  struct Running;

  void Fail(const std::string& what);
  void Desire(const WatchClient::Entries& entries);
  void ForgetAllBut(const std::map<std::string, scheduler::v1::Assignment>& desired);
  void Start(const scheduler::v1::Assignment& assignment);
  void Started(const std::string& instance);
  void Fetched(const scheduler::v1::Assignment& assignment,
               const secrets::v1::GetBundleResponse& sealed);
  void Stop(const scheduler::v1::Assignment& assignment);
  void Become(const std::string& instance, scheduler::v1::Phase phase, absl::Duration after);
  void Became(const std::string& instance, scheduler::v1::Phase phase);
  void CheckMemory();
  void Changed();
  scheduler::v1::ReportRequest MakeReport() const;

  World* const world_;
  Network* const network_;
  const Options options_;
  Random random_;
  bool failing_ = true;
  uint64_t turns_ = 0;
  std::map<std::string, Local> instances_;
  Running* running_ = nullptr;  // Of the agent's life; nullptr: there is none.
  Watcher watcher_;
};

}  // namespace berth::simulation
