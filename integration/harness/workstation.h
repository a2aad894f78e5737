#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/testing/temp_dir.h"
#include "integration/harness/own_machine.h"
#include "integration/harness/program.h"

namespace berth::integration {

using Json = nlohmann::json;

// An instance as `berth status` shows it.
struct Instance {
  std::string id;
  std::string host;
  std::string address;
  uint64_t release = 0;
  std::string phase;
  // Meant to serve, not one that makes room for another.
  bool wanted = false;

  bool ready() const { return wanted && phase == "PHASE_READY"; }
  std::string Url(const std::string& path = "/") const;
};

// What a person has at hand on the test's machine: the real `berth`, Podman, and manifests. The
// binaries are those in the folder $BERTH_BIN, else those beside the test's.
class Workstation {
 public:
  // Enters the machine, and forgets what the test's own environment says to Berth and Podman.
  Workstation();
  Workstation(const Workstation&) = delete;
  Workstation& operator=(const Workstation&) = delete;

  // `berth` to its end, and still running.
  Finished Berth(const std::vector<std::string>& arguments,
                 absl::Duration limit = absl::Seconds(90)) const;
  Program StartBerth(const std::vector<std::string>& arguments) const;
  // With `-o json`; throws, with what it printed, unless it ends with 0.
  Json BerthJson(std::vector<std::string> arguments) const;

  // Finds out what this machine's Podman needs, and gives it that from now on. Returns the
  // containers.conf that says so; empty: it needs nothing.
  std::string PreparePodman() const;
  // Builds an image of the hello example; `more` are further lines for its Containerfile.
  void BuildHello(const std::string& name = "localhost/hello", const std::string& more = "") const;
  // Writes app/berth.yaml and returns its folder.
  std::string WriteManifest(const std::string& app, const std::string& yaml) const;

  // Of the app's environment; nothing while the server does not answer.
  std::optional<std::vector<Instance>> TryInstances(const std::string& app) const;
  // Throws where the server does not answer.
  std::vector<Instance> Instances(const std::string& app) const;

  // The path of a binary, such as `berth`.
  std::string Binary(const std::string& name) const { return bin_ + "/" + name; }

  const OwnMachine& machine() const { return machine_; }
  // For what the test keeps beside; gone with the object.
  const testing::TempDir& files() const { return files_; }

 private:
  const OwnMachine& machine_;
  testing::TempDir files_;
  const std::string bin_;
};

// The words after `berth` of a command that `berth` printed, and more.
std::vector<std::string> AsPrinted(const Json& printed, const std::vector<std::string>& more);

}  // namespace berth::integration
