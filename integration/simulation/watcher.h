#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/rpc/subscription.h"
#include "integration/simulation/history.h"
#include "integration/simulation/network.h"
#include "integration/simulation/process.h"

namespace berth::simulation {

// A process that follows one topic with a Subscription, keeps what it has across its lives, and
// notes every message.
class Watcher {
 public:
  struct Options {
    std::string name;
    std::string stream;  // The service that is watched.
    std::string topic;
    rpc::Credentials credentials;
    std::vector<std::string> servers;  // The processes that answer; one of them leads.
    std::function<rpc::Subscription::Opener(std::shared_ptr<rpc::Channel>)> open;
    // Makes what else the process does in a life, and holds it; may be empty.
    std::function<std::shared_ptr<void>(Life*)> begin = nullptr;
    // Hears of what it has after every message; may be empty.
    std::function<void(const WatchClient&)> updated = nullptr;
  };

  Watcher(World* world, Network* network, Options options);

  Process& process() { return process_; }
  // What it received so far.
  WatchHistory History() const;
  const WatchClient& client() const { return kept_; }

 private:
  struct Running;

  World* const world_;
  Network* const network_;
  const Options options_;
  std::vector<Watched> watched_;
  WatchClient kept_;
  Process process_;
};

}  // namespace berth::simulation
