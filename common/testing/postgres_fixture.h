#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "common/testing/temp_dir.h"

namespace berth::testing {

// A PostgreSQL cluster of its own, on a unix socket in a folder of its own, with nothing in it. It
// is stopped with the object and also when the process that owns it dies.
//
// Throws std::runtime_error, saying what to do, where PostgreSQL is missing or does not start.
// Starting takes some seconds, so a test binary shares one and takes databases from it. PostgreSQL
// does not run as root: a process that is root runs it as the user `postgres`.
class PostgresCluster {
 public:
  // Whether what is stored survives the machine, as a benchmark wants it to.
  enum class Durability { kNone, kFsync };

  explicit PostgresCluster(Durability durability = Durability::kNone);
  ~PostgresCluster();
  PostgresCluster(const PostgresCluster&) = delete;
  PostgresCluster& operator=(const PostgresCluster&) = delete;

  // Makes an empty database and returns how to connect to it.
  std::string NewDatabase();

  // Runs SQL on a database, through psql: what a person or another program does to it.
  void Run(const std::string& connection, const std::string& sql);

  // Ends every connection at once, as a crash or a failover does.
  void Stop();
  void Start();

 private:
  // The command line as the user PostgreSQL runs as.
  std::string AsPostgres(const std::string& command) const;
  // Throws with what the command said.
  void Execute(const std::string& command) const;

  const Durability durability_;
  const TempDir dir_;
  const std::string programs_;  // The folder of initdb, pg_ctl and psql.
  std::FILE* guard_ = nullptr;  // A pipe to the process that stops the cluster when it is closed.
  int databases_made_ = 0;
};

}  // namespace berth::testing
