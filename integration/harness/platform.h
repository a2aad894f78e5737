#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
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
  std::string address;
  uint64_t release = 0;
  std::string phase;
  // Meant to serve, not one that makes room for another.
  bool wanted = false;

  bool ready() const { return wanted && phase == "PHASE_READY"; }
  std::string Url(const std::string& path = "/") const;
};

// When each instance's container was made and last started, as Podman has it: equal as long as it
// was left alone.
using ContainerStarts = std::map<std::string, std::string>;

// A Berth of the real binaries on a machine of its own: what `berth up` starts, driven by the
// command line as a person drives it. One at a time in a process. At its end everything is purged;
// after a failed assertion the ends of the daemons' logs are printed first.
//
// The binaries are those in the folder $BERTH_BIN, else those beside the test's.
class Platform {
 public:
  // Finds out what this machine's Podman needs. Nothing of Berth runs yet.
  Platform();
  ~Platform();
  Platform(const Platform&) = delete;
  Platform& operator=(const Platform&) = delete;

  // Starts what does not run; throws where `berth up` fails.
  void Up();
  Finished Purge();

  // `berth` to its end, and still running.
  Finished Berth(const std::vector<std::string>& arguments,
                 absl::Duration limit = absl::Seconds(90)) const;
  Program StartBerth(const std::vector<std::string>& arguments) const;
  // With `-o json`; throws, with what it printed, unless it ends with 0.
  Json BerthJson(std::vector<std::string> arguments) const;

  // The process of a daemon, `server`, `agent` or `edge`; throws where it does not run.
  pid_t PidOf(const std::string& daemon) const;
  // Ends a daemon without a warning, and waits until it is gone.
  void Kill(const std::string& daemon) const;
  // The `agent` or `edge` alone, without what `berth up` does beside; it ends with the object.
  Program StartDaemon(const std::string& daemon) const;

  // Builds an image of the hello example; `more` are further lines for its Containerfile.
  void BuildHello(const std::string& name = "localhost/hello", const std::string& more = "") const;
  // Writes app/berth.yaml and returns its folder.
  std::string WriteManifest(const std::string& app, const std::string& yaml) const;

  // Of the app's environment; nothing while the server does not answer.
  std::optional<std::vector<Instance>> TryInstances(const std::string& app) const;
  // Throws where the server does not answer.
  std::vector<Instance> Instances(const std::string& app) const;
  ContainerStarts Starts() const;
  // Those of an app's instances alone.
  ContainerStarts StartsOf(const std::string& app) const;

  // The path of a binary, such as `berth`.
  std::string Binary(const std::string& name) const { return bin_ + "/" + name; }

  // The platform's folder, and the machine it is on.
  std::string folder() const { return folder_.File("berth"); }
  const OwnMachine& machine() const { return machine_; }

  // The ends of the daemons' logs, once.
  void PrintLogs();
  // The platform there is, if there is one.
  static Platform* Current();

 private:
  void TryPodman();

  const OwnMachine& machine_;
  testing::TempDir folder_;
  std::string bin_;
  std::string containers_conf_;  // Empty where Podman needs none.
  bool logs_printed_ = false;
};

}  // namespace berth::integration
