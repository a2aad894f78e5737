#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/testing/postgres_fixture.h"
#include "common/testing/temp_dir.h"
#include "integration/harness/program.h"
#include "integration/harness/workstation.h"

namespace berth::integration {

// A process that was killed holds the lease of its log for 5 seconds more.
inline constexpr absl::Duration kServiceBackWithin = absl::Seconds(60);

// The five services, each in a process of its own, with their logs in a PostgreSQL of their own.
// The person at the workstation is signed in as the platform's administrator, in the org `home`.
class ServicesApart {
 public:
  static constexpr const char* kNames[] = {"auth", "config", "scheduler", "edge-router", "secrets"};

  // They listen on this address, an IPv6 one in brackets. The workstation outlives them.
  explicit ServicesApart(const Workstation* workstation, const std::string& host = "127.0.0.1");
  // After a failed assertion prints the ends of their logs.
  ~ServicesApart();

  void Start(const std::string& name);
  // Ends it without a warning; it does not run when this returns.
  void Kill(const std::string& name) { processes_.at(name).reset(); }

  // Runs `berth` again and again, since what was only just started may not serve yet, and returns
  // what it printed.
  std::string MustSucceed(const std::vector<std::string>& arguments) const;

 private:
  void WriteSettings(const std::string& name, const std::string& host, int port);

  const Workstation* const workstation_;
  testing::PostgresCluster cluster_;
  const std::string connection_;
  testing::TempDir folder_;
  std::string auth_;  // HOST:PORT of berth-auth.
  std::map<std::string, std::unique_ptr<Program>> processes_;
};

}  // namespace berth::integration
