#pragma once

#include <memory>
#include <string>

#include "integration/harness/program.h"

namespace berth::integration {

// One berth-server on a free port of the loopback: a process that can be ended and started, without
// a machine of its own.
class LoneServer {
 public:
  // It keeps everything in `folder`, which need not be there; its settings are FOLDER.yaml. Its
  // logs are in SQLite there, or in the database that `postgres` says how to connect to. It does
  // not run yet.
  LoneServer(std::string folder, std::string address, const std::string& postgres = "");
  // After a failed assertion prints the end of its log.
  ~LoneServer();

  const std::string& address() const { return address_; }
  std::string settings() const { return folder_ + ".yaml"; }
  std::string File(const std::string& name) const { return folder_ + "/" + name; }

  // Returns once all of it serves. Throws where it does not.
  void Start();
  // Ends it without a warning; it does not run when this returns.
  void Kill() { process_.reset(); }

 private:
  const std::string folder_;
  const std::string address_;
  std::unique_ptr<Program> process_;
};

}  // namespace berth::integration
