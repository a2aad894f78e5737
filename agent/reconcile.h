#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "agent/runtime/driver.h"
#include "berth/scheduler/v1/scheduler.pb.h"

namespace berth::agent {

// What the agent knows of one instance on its host.
struct Observed {
  int64_t attempt = 0;
  InstancePhase phase = InstancePhase::kGone;
  InstanceHandle handle;
  // This attempt could not be started: it is not tried again.
  bool start_failed = false;
  // An action about it is under way; nothing else is begun meanwhile.
  bool busy = false;
};

// Starts the assignment's attempt, in place of an older one.
struct StartInstance {
  scheduler::v1::Assignment assignment;
};
// Asks it to end, in the assignment's grace time. What is left of it stays for its log.
struct StopInstance {
  std::string instance;
  InstanceHandle handle;
  scheduler::v1::Assignment assignment;
};
// Ends it if it runs and forgets it.
struct DestroyInstance {
  std::string instance;
  InstanceHandle handle;
};
using Action = std::variant<StartInstance, StopInstance, DestroyInstance>;

// What is to be done so that what is observed becomes what is desired, in the order of instance
// ids. Pure. Nothing is to be done about what runs as desired: a restarted agent adopts it. An
// instance that ended is not started again: that is a new attempt, which the scheduler decides.
std::vector<Action> Reconcile(const std::map<std::string, scheduler::v1::Assignment>& desired,
                              const std::map<std::string, Observed>& observed);

}  // namespace berth::agent
