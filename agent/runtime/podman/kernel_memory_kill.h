#pragma once

#include "absl/strings/string_view.h"

namespace berth {

// Whether the kernel's message buffer still says that a process of this container was killed
// because the container's memory limit was reached. Podman itself learns of it on cgroup v2 only.
bool KernelKilledForMemory(absl::string_view container_id);

// Whether one message of the kernel says so.
bool IsMemoryKillOf(absl::string_view message, absl::string_view container_id);

}  // namespace berth
