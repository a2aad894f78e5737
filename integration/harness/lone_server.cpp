#include "integration/harness/lone_server.h"

#include <exception>
#include <fstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "common/testing/eventually.h"
#include "integration/harness/binaries.h"
#include "integration/harness/log_end.h"

namespace berth::integration {
namespace {

constexpr absl::Duration kServesWithin = absl::Seconds(60);

}  // namespace

LoneServer::LoneServer(std::string folder, std::string address, const std::string& postgres)
    : folder_(std::move(folder)), address_(std::move(address)) {
  std::ofstream file(settings());
  file << "listen: " << address_ << "\nhttp: \"off\"\nstate: " << folder_ << "\n";
  if (!postgres.empty()) file << "log: {postgres: \"" << postgres << "\"}\n";
}

LoneServer::~LoneServer() {
  if (std::uncaught_exceptions() == 0 || process_ == nullptr) return;
  PrintLogEnd("berth-server", process_->ErrSoFar());
}

void LoneServer::Start() {
  process_ = std::make_unique<Program>(
      std::vector<std::string>{Binary("berth-server"), "--settings", settings()});
  if (!testing::Eventually(kServesWithin, [this] {
        return absl::StrContains(process_->ErrSoFar(), "berth-server serves");
      })) {
    throw std::runtime_error("the server does not serve: " + process_->ErrSoFar());
  }
}

}  // namespace berth::integration
