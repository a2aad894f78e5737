#include "integration/harness/services_apart.h"

#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/testing/eventually.h"
#include "integration/harness/log_end.h"

namespace berth::integration {
namespace {

constexpr int kFirstPort = 7443;

}  // namespace

ServicesApart::ServicesApart(const Workstation* workstation, const std::string& host)
    : workstation_(workstation),
      connection_(cluster_.NewDatabase()),
      auth_(absl::StrCat(host, ":", kFirstPort)) {
  int port = kFirstPort;
  for (const std::string name : kNames) {
    WriteSettings(name, host, port++);
    Start(name);
    // The others join with what auth leaves for them.
    if (name == "auth" && !testing::Eventually(kServiceBackWithin, [this] {
          return std::filesystem::exists(folder_.File("auth/join-tokens/secrets"));
        })) {
      throw std::runtime_error("auth: " + processes_.at(name)->ErrSoFar());
    }
  }
  MustSucceed(
      {"login", "--server", auth_, "--ca-file", folder_.File("auth/ca.pem"), "--org", "home"});
}

ServicesApart::~ServicesApart() {
  if (std::uncaught_exceptions() == 0) return;
  for (const auto& [name, process] : processes_) {
    if (process != nullptr) PrintLogEnd(name, process->ErrSoFar());
  }
}

void ServicesApart::Start(const std::string& name) {
  processes_[name] = std::make_unique<Program>(std::vector<std::string>{
      workstation_->Binary("berth-" + name), "--settings", folder_.File(name + ".yaml")});
}

std::string ServicesApart::MustSucceed(const std::vector<std::string>& arguments) const {
  Finished finished;
  if (!testing::Eventually(kServiceBackWithin, [&] {
        finished = workstation_->Berth(arguments);
        return finished.exit_code == 0;
      })) {
    throw std::runtime_error(finished.err);
  }
  return finished.out;
}

void ServicesApart::WriteSettings(const std::string& name, const std::string& host, int port) {
  std::ofstream file(folder_.File(name + ".yaml"));
  file << "listen: \"" << host << ":" << port << "\"\nstate: " << folder_.File(name)
       << "\nlog: {postgres: \"" << connection_ << "\"}\n";
  if (name == "auth") return;
  file << "server: \"" << auth_ << "\"\nca_file: " << folder_.File("auth/ca.pem")
       << "\njoin_token_file: " << folder_.File("auth/join-tokens/" + name) << "\n";
}

}  // namespace berth::integration
