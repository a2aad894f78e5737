#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace berth::integration {

// What clients met.
struct TrafficReport {
  int answered = 0;
  std::vector<std::string> failures;    // Why, of each request that was not answered with 200.
  std::map<std::string, int> versions;  // What `/` of hello said its version is.
};

// Clients that ask for a page at a constant rate, each request on a connection of its own, from the
// moment this is made. Open loop: a slow answer delays nobody else's request.
class Traffic {
 public:
  static constexpr int kClients = 20;

  Traffic(std::string url, int requests_per_second);
  ~Traffic();
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

  // Ends it and tells.
  TrafficReport Stop();

 private:
  void Run(int client, int requests_per_second);

  const std::string url_;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  TrafficReport report_;
  std::vector<std::thread> clients_;
};

}  // namespace berth::integration
