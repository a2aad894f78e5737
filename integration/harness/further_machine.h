#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/net/unique_fd.h"
#include "common/testing/temp_dir.h"
#include "integration/harness/program.h"

namespace berth::integration {

// What joins the test's machine and the further ones: a network that all of them are on, without a
// way to anywhere else.
class Wire {
 public:
  // Enters the test's own machine.
  Wire();
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // The test's own machine, as the others reach it.
  static std::string OwnAddress();
};

// A machine beside the test's own one, on the same wire: namespaces as `machine_namespaces.h` has
// them. The disk is the test's machine's, all but Podman's folders. At the object's end everything
// on it ends.
class FurtherMachine {
 public:
  // `number` is at least 2 and no other's; the wire outlives the machine.
  explicit FurtherMachine(int number);
  ~FurtherMachine();
  FurtherMachine(const FurtherMachine&) = delete;
  FurtherMachine& operator=(const FurtherMachine&) = delete;

  // On the wire.
  std::string address() const;

  // The command line that runs another one there.
  std::vector<std::string> There(const std::vector<std::string>& arguments) const;
  // Runs it to its end; throws, with what it printed, unless it ends with 0.
  std::string MustRunThere(const std::vector<std::string>& arguments,
                           absl::Duration limit = absl::Seconds(60)) const;

  // Sends what is for `network`, such as fd00::/64, to the other machine; and no more.
  void AddRoute(const std::string& network, const FurtherMachine& via) const;
  void RemoveRoute(const std::string& network) const;

 private:
  const int number_;
  testing::TempDir folder_;
  UniqueFd network_;  // The namespaces, which go with these.
  UniqueFd mounts_;
};

}  // namespace berth::integration
