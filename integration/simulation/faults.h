#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/eventlog/memory_event_log.h"
#include "integration/simulation/network.h"
#include "integration/simulation/process.h"
#include "integration/simulation/service_host.h"
#include "integration/simulation/world.h"

namespace berth::simulation {

// What fails in a world: one thing after another, as chance has it, until Mend.
class Faults {
 public:
  struct Targets {
    std::vector<ServiceHost*> hosts;
    std::vector<Process*> peers;       // Whose connections to the hosts fail, and who stand still.
    std::vector<Process*> restarting;  // Those of them that are killed and begin anew.
    MemoryDatabase* database = nullptr;  // That the hosts' logs are in; nullptr: on disks.
    // Whether nobody repeats a command any more that was first sent by `since`, as nobody does
    // after the months that logs are kept; empty: logs are not cut.
    std::function<bool(absl::Duration since)> may_cut;
  };

  // Everything outlives it.
  Faults(World* world, Network* network) : world_(world), network_(network) {}

  void Begin(Targets targets);
  // Nothing fails any more, and what failed works again.
  void Mend();

  // How often each happened.
  const std::map<std::string, uint64_t>& numbers() const { return numbers_; }

 private:
  static constexpr absl::Duration kEveryMost = absl::Milliseconds(1500);
  // Thirteen of them happen to every service; the others are of what its log is kept on.
  static constexpr uint64_t kKinds = 18;

  void ScheduleNext();
  void Happen();
  void Cut(const std::string& peer, const std::string& server);
  void Partition(ServiceHost& host);
  void ReconnectAll(ServiceHost& host);
  void CutLog(ServiceHost& host);
  void Restart(Process* peer);
  void HappenToDisk(ServiceHost& host);
  void HappenToDatabase(ServiceHost& host);
  void FailOverInCommit();
  void Count(const std::string& fault) { ++numbers_["fault: " + fault]; }

  World* const world_;
  Network* const network_;
  Targets targets_;
  std::map<std::string, uint64_t> numbers_;
  bool mended_ = false;
};

}  // namespace berth::simulation
