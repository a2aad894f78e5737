#include "integration/harness/traffic.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "integration/harness/http.h"
#include "integration/harness/serving.h"

namespace berth::integration {

Traffic::Traffic(std::string url, int requests_per_second) : url_(std::move(url)) {
  for (int client = 0; client < kClients; ++client) {
    clients_.emplace_back([=, this] { Run(client, requests_per_second); });
  }
}

Traffic::~Traffic() { Stop(); }

TrafficReport Traffic::Stop() {
  stopping_ = true;
  for (std::thread& client : clients_) {
    if (client.joinable()) client.join();
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  return report_;
}

void Traffic::Run(int client, int requests_per_second) {
  const auto begin = std::chrono::steady_clock::now();
  for (int turn = 0; !stopping_; ++turn) {
    // The clients take turns, so that all of them together keep the rate.
    const auto due = begin + std::chrono::microseconds(1'000'000LL * (turn * kClients + client) /
                                                       requests_per_second);
    std::this_thread::sleep_until(due);
    const Page page = Get(url_, absl::Seconds(5));
    const std::lock_guard<std::mutex> lock(mutex_);
    if (page.status == 200) {
      ++report_.answered;
      ++report_.versions[VersionOf(page.body)];
    } else {
      report_.failures.push_back(absl::StrCat(absl::FormatTime(absl::Now(), absl::UTCTimeZone()),
                                              ": status ", page.status, " ", page.error));
    }
  }
}

}  // namespace berth::integration
