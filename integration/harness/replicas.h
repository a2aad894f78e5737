#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/testing/postgres_fixture.h"
#include "common/testing/temp_dir.h"
#include "integration/harness/program.h"

namespace berth::integration {

// Copies of berth-server on a PostgreSQL of their own, on free ports of the loopback: processes
// that can be killed, stopped and continued, without a machine of their own.
class Replicas {
 public:
  // Starts them and waits until one serves and the others stand by. Throws where they do not.
  explicit Replicas(size_t count);
  // After a failed assertion prints the ends of their logs.
  ~Replicas();

  size_t size() const { return processes_.size(); }
  // Of one, HOST:PORT; and of all of them, with commas between.
  const std::string& address(size_t replica) const { return addresses_[replica]; }
  std::string addresses() const;
  // A file of a replica's folder.
  std::string File(size_t replica, const std::string& name) const;

  void Start(size_t replica);
  // Ends it without a warning; it does not run when this returns.
  void Kill(size_t replica) { processes_[replica].reset(); }
  // Ends it as an operator does.
  void Terminate(size_t replica);
  void Stop(size_t replica) const;
  void Continue(size_t replica) const;

  // Who holds the lease by the database's clock, if anybody.
  std::optional<size_t> Leader() const;

  testing::PostgresCluster& database() { return cluster_; }

 private:
  void WriteSettings(size_t replica) const;

  testing::PostgresCluster cluster_;
  const std::string connection_;
  testing::TempDir folder_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<Program>> processes_;
};

}  // namespace berth::integration
