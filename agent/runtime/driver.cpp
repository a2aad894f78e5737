#include "agent/runtime/driver.h"

namespace berth {

absl::string_view PhaseName(InstancePhase phase) {
  switch (phase) {
    case InstancePhase::kCreated:
      return "created";
    case InstancePhase::kRunning:
      return "running";
    case InstancePhase::kExited:
      return "exited";
    case InstancePhase::kGone:
      return "gone";
  }
  return "gone";
}

}  // namespace berth
