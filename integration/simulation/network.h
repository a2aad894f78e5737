#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/channel.h"
#include "common/rpc/dispatcher.h"
#include "integration/simulation/process.h"
#include "integration/simulation/world.h"

namespace berth::simulation {

// Connections between processes: calls and streams over rpc::Channels into rpc::Dispatchers.
//
// What one side of a stream sends arrives in order, later, or not at all. A cut way holds what is
// sent over it, as TCP does, until it is mended; after kKeepalive both ends give the connection up.
// The end of a process is told to those it spoke with or, after a loss of power, found out by them.
class Network {
 public:
  static constexpr absl::Duration kKeepalive = absl::Seconds(40);

  explicit Network(World* world);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // The process has connections from now on. It ends before the network.
  void Attach(Process* process);

  // A life serves these, until it ends.
  void Serve(Life* life, std::vector<rpc::Dispatcher*> dispatchers);

  // A channel of `life` to a service whose copies are the processes `servers`: that of production,
  // which finds the one that leads, over connections of this network.
  std::shared_ptr<rpc::Channel> Connect(Life* life, rpc::Credentials credentials,
                                        std::vector<std::string> servers);

  // Nothing gets from one to the other, in that direction, until Mend.
  void Cut(const std::string& from, const std::string& to);
  void Mend(const std::string& from, const std::string& to);
  void MendAll();
  // Every connection between the two ends now, and what is under way is lost.
  void Reset(const std::string& one, const std::string& other);

  // How long a message takes from now on.
  void SetDelay(absl::Duration least, absl::Duration most);

  // Whether processes that end from now on leave their peers unaware, as a loss of power does.
  void EndSilently(bool silently) { silently_ = silently; }

  // Messages that streams brought to that process: what it received, whatever it says.
  uint64_t MessagesBroughtTo(const std::string& process) const;

 private:
  class ChannelOver;
  class ClientEnd;
  class ServerEnd;
  struct Exchange;
  struct Way {
    bool cut = false;
    uint64_t cuts = 0;
    std::vector<std::function<void()>> held;
  };
  enum class Direction { kToClient, kToServer };
  using Id = uint64_t;  // Of an exchange.

  Exchange& Begin(Life* client, const rpc::Method& method, const std::string& request,
                  const rpc::Credentials& credentials, const std::string& server);
  Exchange* Find(Id id) const;
  // Runs `arrive` once what is sent has arrived; it finds the exchange again, or it is lost.
  void Send(const Exchange& exchange, Direction direction, std::function<void(Exchange&)> arrive);
  void SendNow(Id id, Direction direction, std::function<void(Exchange&)> arrive);

  void RequestArrived(Exchange& exchange);
  void Dispatch(Id id, rpc::Dispatcher* dispatcher);
  void Wake(ServerEnd* end);
  void PumpAll(const Life* server);
  void Pump(Exchange& exchange);
  void Deliver(Exchange& exchange, const std::string& bytes);
  void Finish(Exchange& exchange, absl::StatusOr<std::string> outcome);
  void Cancel(Id id);
  void ForgetIfOver(Id id);
  void ResetExchange(Id id, const std::string& why);
  void LifeEnding(const Life* life);

  World* const world_;
  std::map<std::string, Process*> processes_;
  std::map<const Life*, std::vector<rpc::Dispatcher*>> served_;
  std::map<std::pair<std::string, std::string>, Way> ways_;
  std::map<Id, std::unique_ptr<Exchange>> exchanges_;
  std::map<const Life*, std::set<Id>> awake_;
  std::map<std::string, uint64_t> brought_;
  Id begun_ = 0;
  absl::Duration delay_least_ = absl::Microseconds(100);
  absl::Duration delay_most_ = absl::Milliseconds(2);
  bool silently_ = false;
};

}  // namespace berth::simulation
