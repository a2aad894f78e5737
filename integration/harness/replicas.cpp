#include "integration/harness/replicas.h"

#include <signal.h>

#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <pqxx/pqxx>
#include <stdexcept>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/testing/eventually.h"
#include "integration/harness/binaries.h"
#include "integration/harness/free_addresses.h"
#include "integration/harness/log_end.h"

namespace berth::integration {
namespace {

constexpr absl::Duration kServesWithin = absl::Seconds(60);
constexpr absl::Duration kEndsWithin = absl::Seconds(20);

}  // namespace

Replicas::Replicas(size_t count)
    : connection_(cluster_.NewDatabase()), addresses_(FreeAddresses(count)), processes_(count) {
  for (size_t replica = 0; replica < count; ++replica) WriteSettings(replica);
  Start(0);
  if (!testing::Eventually(kServesWithin, [this] {
        return std::filesystem::exists(File(0, "secrets/member")) && Leader() == size_t{0};
      })) {
    throw std::runtime_error("the first replica does not serve: " + processes_[0]->ErrSoFar());
  }
  // A replica is the first one's folder once more: keys and tokens, and nothing that changes.
  for (size_t replica = 1; replica < count; ++replica) {
    std::filesystem::copy(File(0, ""), File(replica, ""), std::filesystem::copy_options::recursive);
    Start(replica);
  }
  for (size_t replica = 0; replica < count; ++replica) {
    if (!testing::Eventually(kServesWithin, [this, replica] {
          return absl::StrContains(processes_[replica]->ErrSoFar(), "berth-server serves");
        })) {
      throw std::runtime_error("a replica does not stand by: " + processes_[replica]->ErrSoFar());
    }
  }
}

Replicas::~Replicas() {
  if (std::uncaught_exceptions() == 0) return;
  for (size_t replica = 0; replica < size(); ++replica) {
    if (processes_[replica] == nullptr) continue;
    PrintLogEnd(absl::StrCat("replica ", replica), processes_[replica]->ErrSoFar());
  }
}

std::string Replicas::addresses() const { return absl::StrJoin(addresses_, ","); }

std::string Replicas::File(size_t replica, const std::string& name) const {
  return folder_.File(absl::StrCat("replica-", replica, "/", name));
}

void Replicas::WriteSettings(size_t replica) const {
  std::ofstream file(folder_.File(absl::StrCat(replica, ".yaml")));
  file << "listen: " << addresses_[replica] << "\nhttp: \"off\"\nstate: " << File(replica, "")
       << "\nlog: {postgres: \"" << connection_ << "\"}\n";
}

void Replicas::Start(size_t replica) {
  processes_[replica] = std::make_unique<Program>(std::vector<std::string>{
      Binary("berth-server"), "--settings", folder_.File(absl::StrCat(replica, ".yaml"))});
}

void Replicas::Terminate(size_t replica) {
  kill(processes_[replica]->pid(), SIGTERM);
  const Finished finished = processes_[replica]->Wait(kEndsWithin);
  if (finished.exit_code != 0) throw std::runtime_error(finished.err);
  processes_[replica].reset();
}

void Replicas::Stop(size_t replica) const { kill(processes_[replica]->pid(), SIGSTOP); }
void Replicas::Continue(size_t replica) const { kill(processes_[replica]->pid(), SIGCONT); }

std::optional<size_t> Replicas::Leader() const {
  try {
    pqxx::connection connection(connection_);
    pqxx::work work(connection);
    const pqxx::result found = work.exec(
        "SELECT address FROM berth_lease WHERE stream = 'config' AND ends_at > clock_timestamp()");
    for (size_t replica = 0; !found.empty() && replica < size(); ++replica) {
      if (addresses_[replica] == found[0][0].c_str()) return replica;
    }
  } catch (const std::exception&) {
    // The database is away, or has no tables yet.
  }
  return std::nullopt;
}

}  // namespace berth::integration
