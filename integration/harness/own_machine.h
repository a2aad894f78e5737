#pragma once

#include <string>
#include <vector>

#include "common/testing/temp_dir.h"

namespace berth::integration {

// This process, and all it starts, on a machine of its own as far as Podman and Berth can tell: a
// network namespace with nothing but a loopback, and a mount namespace in which every folder of
// Podman's is a fresh one. So the tests run Podman as a person's machine has it set up, take the
// default port, and leave the machine's containers, networks and packet filter alone. Needs root.
class OwnMachine {
 public:
  // Enters it the first time; before this process has a second thread. Throws where it cannot, so
  // that no test runs outside of it.
  static const OwnMachine& Enter();

  // The machine's folder for what a test needs; gone at the end of the process.
  const testing::TempDir& folder() const { return folder_; }

  // What Berth and Podman have on the machine now, a line for each: processes, network interfaces,
  // and mounts that belong to a container.
  std::vector<std::string> Occupants() const;

  // For cleaning up after a failed test.
  void KillProcesses() const;

 private:
  OwnMachine();
  ~OwnMachine();

  testing::TempDir folder_;
};

}  // namespace berth::integration
