#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "common/testing/temp_dir.h"

namespace berth::integration {

// What makes a machine as far as Podman and Berth can tell: a network namespace with nothing but a
// loopback, and a mount namespace in which every folder of Podman's is a fresh one.

// Puts the calling thread, and all that it starts from then on, into such namespaces. `folder`
// gets what Podman stores there, and outlives it. Throws where it cannot, as without root.
void EnterNewMachine(const testing::TempDir& folder);

struct Process {
  pid_t pid = 0;
  std::string command_line;
};

// Those of a mount namespace, such as "mnt:[4026531841]", but this one. A container's own process
// is in another, its monitor is here.
std::vector<Process> ProcessesIn(const std::string& mount_namespace);

// The mounts that containers have in the calling thread's mount namespace, in the order they were
// made.
std::vector<std::string> ContainerMounts();

}  // namespace berth::integration
