#pragma once

#include <sys/types.h>

#include <map>
#include <string>

#include "integration/harness/program.h"
#include "integration/harness/workstation.h"

namespace berth::integration {

// When each instance's container was made and last started, as Podman has it: equal as long as it
// was left alone.
using ContainerStarts = std::map<std::string, std::string>;

// A Berth of the real binaries on a machine of its own: what `berth up` starts, driven by the
// command line as a person drives it. One at a time in a process. At its end everything is purged;
// after a failed assertion the ends of the daemons' logs are printed first.
class Platform : public Workstation {
 public:
  // Finds out what this machine's Podman needs. Nothing of Berth runs yet.
  Platform();
  ~Platform();

  // Starts what does not run; throws where `berth up` fails.
  void Up();
  Finished Purge();

  // The process of a daemon, `server`, `agent` or `edge`; throws where it does not run.
  pid_t PidOf(const std::string& daemon) const;
  // Ends a daemon without a warning, and waits until it is gone.
  void Kill(const std::string& daemon) const;
  // The `agent` or `edge` alone, without what `berth up` does beside; it ends with the object.
  Program StartDaemon(const std::string& daemon) const;

  ContainerStarts Starts() const;
  // Those of an app's instances alone.
  ContainerStarts StartsOf(const std::string& app) const;

  // The platform's folder.
  std::string folder() const { return files().File("berth"); }

  // The ends of the daemons' logs, once.
  void PrintLogs();
  // The platform there is, if there is one.
  static Platform* Current();

 private:
  std::string containers_conf_;  // Empty where Podman needs none.
  bool logs_printed_ = false;
};

}  // namespace berth::integration
