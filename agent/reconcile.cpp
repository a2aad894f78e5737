#include "agent/reconcile.h"

namespace berth::agent {
namespace {

using scheduler::v1::Assignment;

bool NeedsStart(const Assignment& assignment, const Observed* observed) {
  if (observed == nullptr) return true;
  if (observed->attempt < static_cast<int64_t>(assignment.attempt())) return true;
  // Made and never run: what a crash between the two leaves.
  return observed->attempt == static_cast<int64_t>(assignment.attempt()) &&
         observed->phase == InstancePhase::kCreated && !observed->start_failed;
}

}  // namespace

std::vector<Action> Reconcile(const std::map<std::string, Assignment>& desired,
                              const std::map<std::string, Observed>& observed) {
  std::vector<Action> actions;
  for (const auto& [instance, assignment] : desired) {
    const auto found = observed.find(instance);
    const Observed* known = found == observed.end() ? nullptr : &found->second;
    if (known != nullptr && known->busy) continue;
    if (assignment.intent() == scheduler::v1::INTENT_RUN) {
      if (NeedsStart(assignment, known)) actions.push_back(StartInstance{assignment});
    } else if (known != nullptr && !known->handle.value.empty() &&
               (known->phase == InstancePhase::kRunning ||
                known->phase == InstancePhase::kCreated)) {
      // Without a handle it waits for its image or its secrets: there is nothing to stop yet.
      actions.push_back(StopInstance{instance, known->handle, assignment});
    }
  }
  for (const auto& [instance, known] : observed) {
    if (known.busy || desired.contains(instance)) continue;
    actions.push_back(DestroyInstance{instance, known.handle});
  }
  return actions;
}

}  // namespace berth::agent
