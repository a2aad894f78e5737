#include "common/testing/postgres_fixture.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#ifdef __SANITIZE_ADDRESS__
// libpqxx 6.4 does not free the result of a statement whose connection broke: some 2 KiB each.
extern "C" const char* __lsan_default_suppressions() { return "leak:libpqxx-6.4"; }
#endif

namespace berth::testing {
namespace {

namespace fs = std::filesystem;

// Debian keeps each version's programs in a folder that is not in PATH; the newest is taken.
std::string FindPrograms() {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", ignored)) {
    const fs::path folder = version.path() / "bin";
    if (fs::exists(folder / "initdb")) found.push_back(folder.string());
  }
  for (const char* folder : {"/usr/bin", "/usr/local/bin", "/usr/local/pgsql/bin"}) {
    if (found.empty() && fs::exists(fs::path(folder) / "initdb")) found.push_back(folder);
  }
  if (found.empty()) {
    throw std::runtime_error("PostgreSQL is not installed; run: apt-get install postgresql");
  }
  return *std::max_element(found.begin(), found.end());
}

// For a shell, in single quotes.
std::string Quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

}  // namespace

PostgresCluster::PostgresCluster(Durability durability)
    : durability_(durability), programs_(FindPrograms()) {
  if (geteuid() == 0) Execute("chown postgres " + dir_.path());
  Execute(AsPostgres(programs_ + "/initdb -D " + dir_.File("data") +
                     " --username=berth --auth=trust --encoding=UTF8 --no-locale --no-sync"));
  // Reads until this process closes the pipe or is gone; in a session of its own, so that what ends
  // this one (Ctrl-C, a time limit) does not end it too.
  const std::string stop =
      AsPostgres(programs_ + "/pg_ctl stop -s -m immediate -D " + dir_.File("data"));
  const std::string guard = "cat; " + stop + "; rm -rf " + dir_.path();
  guard_ = popen(("exec setsid sh -c " + Quoted(guard)).c_str(), "we");
  if (guard_ == nullptr) throw std::runtime_error("cannot start a shell");
  Start();
}

PostgresCluster::~PostgresCluster() { pclose(guard_); }

std::string PostgresCluster::NewDatabase() {
  const std::string cluster = "host=" + dir_.path() + " user=berth dbname=";
  const std::string name = "test_" + std::to_string(++databases_made_);
  Run(cluster + "postgres", "CREATE DATABASE " + name);
  return cluster + name;
}

void PostgresCluster::Run(const std::string& connection, const std::string& sql) {
  Execute(programs_ + "/psql -X -q -v ON_ERROR_STOP=1 -d " + Quoted(connection) + " -c " +
          Quoted(sql));
}

void PostgresCluster::Stop() {
  Execute(AsPostgres(programs_ + "/pg_ctl stop -s -w -m immediate -D " + dir_.File("data")));
}

void PostgresCluster::Start() {
  const char* const fsync = durability_ == Durability::kFsync ? "on" : "off";
  Execute(AsPostgres(programs_ + "/pg_ctl start -s -w -D " + dir_.File("data") + " -l " +
                     dir_.File("data/log") + " -o " +
                     Quoted("-k " + dir_.path() + " -c listen_addresses= -c fsync=" + fsync)));
}

std::string PostgresCluster::AsPostgres(const std::string& command) const {
  return geteuid() == 0 ? "runuser -u postgres -- sh -c " + Quoted(command) : command;
}

void PostgresCluster::Execute(const std::string& command) const {
  const std::string output = dir_.File("output");
  // From a folder that the other user may enter.
  if (std::system(("cd / && " + command + " >" + output + " 2>&1").c_str()) == 0) return;
  std::ifstream file(output);
  throw std::runtime_error(command + ": " + std::string(std::istreambuf_iterator<char>(file), {}));
}

}  // namespace berth::testing
