#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "integration/bench/report.h"

namespace berth::bench {

// Values that say when they were put, for whoever measures how long they are under way.
std::string ValueOfNow(size_t bytes);
absl::Time WhenPut(const std::string& value);

// A server whose keys are watched, Berth's or another's, over TLS.
struct WatchTarget {
  // What a message brought.
  struct Brought {
    bool begun = false;                // Everything that was there when the watch began has come.
    std::vector<std::string> changes;  // The new values of keys that changed since.
  };

  std::string address;      // HOST:PORT.
  std::string ca_pem;       // Whom its certificate is from.
  std::string server_name;  // That its certificate carries.
  std::string method;       // /package.Service/Method.
  std::map<std::string, std::string> metadata;
  std::string request;      // The first message, serialised.
  bool half_close = false;  // After it.
  std::function<Brought(const std::string& message)> read;
};

// Many watches of one server, each a stream, over fewer connections.
class Watchers {
 public:
  // Returns when all have begun. Throws where one does not.
  Watchers(const WatchTarget& target, int count, int connections);
  // Ends them.
  ~Watchers();

  // The first `count` take nothing any more.
  void Stop(int count);

  // Forgets what was counted before.
  void CountAnew();
  // Changes that were received, by all that were not stopped.
  uint64_t deliveries() const;
  // From the put to the reception, of a sample of these.
  Samples latency() const;

 private:
  class Watch;
  struct Shared;

  const std::unique_ptr<Shared> shared_;
  std::vector<std::unique_ptr<Watch>> watches_;
};

}  // namespace berth::bench
