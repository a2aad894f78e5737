#include "integration/simulation/network.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/rpc/leader_channel.h"

namespace berth::simulation {
namespace {

// Messages of a stream that are sent and not yet read, as HTTP/2's windows bound them.
constexpr int kUnreadMax = 4;

absl::Status Lost(const std::string& why) {
  return absl::UnavailableError(absl::StrCat("the connection was lost: ", why));
}

}  // namespace

// A call or a stream, with what each of its two ends has of it. It is forgotten when both are gone,
// and whatever arrives for it then is lost.
struct Network::Exchange {
  Id id = 0;
  const rpc::Method* method = nullptr;
  std::string request;
  rpc::Credentials credentials;
  std::string request_id;

  std::shared_ptr<Life> client;
  std::string client_name;
  bool client_left = false;
  std::function<void(absl::StatusOr<std::string>)> done;  // Calls: until it was called.
  ClientEnd* client_end = nullptr;                        // Streams: until it ended.

  std::string server_name;
  const Life* server = nullptr;  // Which the request arrived at.
  bool server_left = false;
  std::shared_ptr<ServerEnd> server_end;  // Streams.

  int unread = 0;
  absl::Duration arrival_to_client;  // Of what was sent last.
  absl::Duration arrival_to_server;
};

// The server's end of a stream.
class Network::ServerEnd : public rpc::Stream {
 public:
  ServerEnd(Network* network, Id id, const Life* server)
      : network_(network), id_(id), server_(server) {}

  void Begin(std::shared_ptr<rpc::Conversation> conversation) override {
    conversation_ = std::move(conversation);
    Wake();
  }

  void Wake() override {
    if (network_ != nullptr) network_->Wake(this);
  }

  void End(absl::Status status) override {
    if (end_.has_value()) return;
    end_ = std::move(status);
    Wake();
  }

  // The connection is gone.
  void Leave() {
    network_ = nullptr;
    conversation_.reset();
  }

  Network* network_;
  const Id id_;
  const Life* const server_;
  std::shared_ptr<rpc::Conversation> conversation_;
  std::optional<absl::Status> end_;
};

// The client's end of a stream.
class Network::ClientEnd : public rpc::ClientStream {
 public:
  ClientEnd(Network* network, Id id, std::function<absl::Status(const std::string&)> received,
            std::function<void(absl::Status)> ended)
      : network_(network), id_(id), received_(std::move(received)), ended_(std::move(ended)) {}

  ~ClientEnd() override {
    if (over_ || World::Current() == nullptr) return;
    network_->Cancel(id_);
  }

  void Send(const std::string& bytes) override {
    Exchange* const exchange = network_->Find(id_);
    if (exchange == nullptr) return;
    network_->Send(*exchange, Direction::kToServer, [bytes](Exchange& to) {
      if (to.server_end == nullptr || to.server_end->conversation_ == nullptr) return;
      const absl::Status status = to.server_end->conversation_->Receive(bytes);
      if (!status.ok()) to.server_end->End(status);
    });
  }

  Network* const network_;
  const Id id_;
  const std::function<absl::Status(const std::string&)> received_;
  const std::function<void(absl::Status)> ended_;
  bool over_ = false;
};

class Network::ChannelOver : public rpc::Channel {
 public:
  ChannelOver(Network* network, Life* life, rpc::Credentials credentials, std::string server)
      : network_(network),
        life_(life->weak_from_this()),
        credentials_(std::move(credentials)),
        server_(std::move(server)) {}

  absl::StatusOr<std::string> CallBytes(const rpc::Method& method, const std::string&,
                                        const rpc::CallOptions&) override {
    CheckFailed(__FILE__, __LINE__, "nothing that is simulated waits for a call", method.full_name);
  }

  void CallBytesAsync(const rpc::Method& method, const std::string& request,
                      const rpc::CallOptions& options,
                      std::function<void(absl::StatusOr<std::string>)> done) override {
    const std::shared_ptr<Life> life = life_.lock();
    if (life == nullptr || life->ended() || life->dying()) return;
    Exchange& exchange = network_->Begin(life.get(), method, request, credentials_, server_);
    exchange.done = std::move(done);
    // As the channel of production does it.
    exchange.request_id = options.request_id.empty() ? life->ids()->NewNonce() : options.request_id;
    network_->world_->After(options.deadline, [network = network_, id = exchange.id] {
      Exchange* const late = network->Find(id);
      if (late == nullptr || late->client_left) return;
      network->Finish(*late, absl::DeadlineExceededError("the deadline has passed"));
    });
    network_->Send(exchange, Direction::kToServer,
                   [network = network_](Exchange& to) { network->RequestArrived(to); });
  }

  std::unique_ptr<rpc::ClientStream> OpenBytes(
      const rpc::Method& method, const std::string& request,
      std::function<absl::Status(const std::string&)> received,
      std::function<void(absl::Status)> ended) override {
    const std::shared_ptr<Life> life = life_.lock();
    BERTH_CHECK(life != nullptr);
    Exchange& exchange = network_->Begin(life.get(), method, request, credentials_, server_);
    auto end =
        std::make_unique<ClientEnd>(network_, exchange.id, std::move(received), std::move(ended));
    exchange.client_end = end.get();
    network_->Send(exchange, Direction::kToServer,
                   [network = network_](Exchange& to) { network->RequestArrived(to); });
    return end;
  }

 private:
  Network* const network_;
  const std::weak_ptr<Life> life_;
  const rpc::Credentials credentials_;
  const std::string server_;
};

Network::Network(World* world) : world_(world) {}

Network::~Network() {
  for (auto& [id, exchange] : exchanges_) {
    if (exchange->server_end != nullptr) exchange->server_end->Leave();
    if (exchange->client_end != nullptr) exchange->client_end->over_ = true;
  }
}

void Network::Attach(Process* process) {
  processes_[process->name()] = process;
  process->Listen({.ending = [this](Life* life) { LifeEnding(life); }, .ended = nullptr});
}

void Network::Serve(Life* life, std::vector<rpc::Dispatcher*> dispatchers) {
  served_[life] = std::move(dispatchers);
}

std::shared_ptr<rpc::Channel> Network::Connect(Life* life, rpc::Credentials credentials,
                                               std::vector<std::string> servers) {
  Executor* const executor = life->NewExecutor();
  return std::make_shared<rpc::LeaderChannel>(
      std::move(servers),
      rpc::LeaderChannel::Dependencies{
          life->clock(), life->ids(),
          [this, life, credentials = std::move(credentials)](const std::string& server) {
            return std::make_shared<ChannelOver>(this, life, credentials, server);
          },
          [executor](absl::Duration delay, std::function<void()> step) {
            executor->PostAfter(delay, std::move(step));
          }});
}

void Network::SetDelay(absl::Duration least, absl::Duration most) {
  delay_least_ = least;
  delay_most_ = most;
}

uint64_t Network::MessagesBroughtTo(const std::string& process) const {
  const auto brought = brought_.find(process);
  return brought == brought_.end() ? 0 : brought->second;
}

void Network::Cut(const std::string& from, const std::string& to) {
  Way& way = ways_[{from, to}];
  way.cut = true;
  const uint64_t cuts = ++way.cuts;
  world_->After(kKeepalive, [this, from, to, cuts] {
    const Way& still = ways_[{from, to}];
    if (still.cut && still.cuts == cuts) Reset(from, to);
  });
}

void Network::Mend(const std::string& from, const std::string& to) {
  Way& way = ways_[{from, to}];
  way.cut = false;
  std::vector<std::function<void()>> held;
  held.swap(way.held);
  for (const auto& send : held) send();
}

void Network::MendAll() {
  std::vector<std::pair<std::string, std::string>> cut;
  for (const auto& [ends, way] : ways_) {
    if (way.cut) cut.push_back(ends);
  }
  for (const auto& [from, to] : cut) Mend(from, to);
}

void Network::Reset(const std::string& one, const std::string& other) {
  std::vector<Id> between;
  for (const auto& [id, exchange] : exchanges_) {
    if ((exchange->client_name == one && exchange->server_name == other) ||
        (exchange->client_name == other && exchange->server_name == one)) {
      between.push_back(id);
    }
  }
  for (const Id id : between) ResetExchange(id, "reset");
}

Network::Exchange& Network::Begin(Life* client, const rpc::Method& method,
                                  const std::string& request, const rpc::Credentials& credentials,
                                  const std::string& server) {
  auto exchange = std::make_unique<Exchange>();
  exchange->id = ++begun_;
  exchange->method = &method;
  exchange->request = request;
  exchange->credentials = credentials;
  exchange->client = client->shared_from_this();
  exchange->client_name = client->name();
  exchange->server_name = server;
  return *exchanges_.emplace(exchange->id, std::move(exchange)).first->second;
}

Network::Exchange* Network::Find(Id id) const {
  const auto found = exchanges_.find(id);
  return found == exchanges_.end() ? nullptr : found->second.get();
}

void Network::Send(const Exchange& exchange, Direction direction,
                   std::function<void(Exchange&)> arrive) {
  // What was killed inside its step sends nothing from there on.
  if (world_->running() != nullptr && world_->running()->dying()) return;
  const bool to_server = direction == Direction::kToServer;
  Way& way = ways_[to_server ? std::make_pair(exchange.client_name, exchange.server_name)
                             : std::make_pair(exchange.server_name, exchange.client_name)];
  if (!way.cut) return SendNow(exchange.id, direction, std::move(arrive));
  way.held.push_back([this, id = exchange.id, direction, arrive = std::move(arrive)] {
    SendNow(id, direction, arrive);
  });
}

void Network::SendNow(Id id, Direction direction, std::function<void(Exchange&)> arrive) {
  Exchange* const exchange = Find(id);
  if (exchange == nullptr) return;
  absl::Duration& last =
      direction == Direction::kToServer ? exchange->arrival_to_server : exchange->arrival_to_client;
  const absl::Duration delay = world_->random().Between(delay_least_, delay_most_);
  last = std::max(world_->now() + delay, last + absl::Nanoseconds(1));
  world_->After(last - world_->now(), [this, id, arrive = std::move(arrive)] {
    if (Exchange* const there = Find(id)) arrive(*there);
  });
}

void Network::RequestArrived(Exchange& exchange) {
  Life* const life = processes_.at(exchange.server_name)->life();
  const auto served = served_.find(life);
  if (life == nullptr || life->dying() || served == served_.end()) {
    exchange.server_left = true;
    return Send(exchange, Direction::kToClient, [this](Exchange& to) {
      Finish(to, absl::UnavailableError("the connection was refused"));
    });
  }
  const auto dispatcher = std::find_if(
      served->second.begin(), served->second.end(), [&exchange](const rpc::Dispatcher* one) {
        return &one->service() == exchange.method->descriptor->service();
      });
  BERTH_CHECK_MESSAGE(dispatcher != served->second.end(), exchange.method->full_name);
  exchange.server = life;
  world_->Add(world_->now(), life->shared_from_this(), nullptr,
              [this, id = exchange.id, dispatcher = *dispatcher] { Dispatch(id, dispatcher); });
}

void Network::Dispatch(Id id, rpc::Dispatcher* dispatcher) {
  Exchange* const exchange = Find(id);
  if (exchange == nullptr) return;
  const rpc::IncomingCall call{exchange->method, exchange->credentials,
                               absl::StrCat("sim:", exchange->client_name), exchange->request_id};
  // The exchange may be forgotten before the server is done with the request.
  const std::string request = exchange->request;
  if (exchange->method->descriptor->server_streaming()) {
    const auto end = std::make_shared<ServerEnd>(this, id, exchange->server);
    exchange->server_end = end;
    return dispatcher->Open(call, request, end);
  }
  dispatcher->Unary(call, request, [this, id](absl::StatusOr<std::string> answer) {
    Exchange* const answered = Find(id);
    if (answered == nullptr) return;
    if (world_->running() != nullptr && world_->running()->dying()) return;
    answered->server_left = true;
    Send(*answered, Direction::kToClient,
         [this, answer = std::move(answer)](Exchange& to) { Finish(to, answer); });
  });
}

void Network::Wake(ServerEnd* end) {
  // Woken one after another in a step of their own: the order in which the hub keeps its watchers
  // differs between runs, and the order of what they are sent must not.
  std::set<Id>& awake = awake_[end->server_];
  awake.insert(end->id_);
  if (awake.size() > 1) return;
  const Exchange* const exchange = Find(end->id_);
  if (exchange == nullptr) return;
  Life* const life = processes_.at(exchange->server_name)->life();
  if (life != end->server_) return;
  world_->Add(world_->now(), life->shared_from_this(), nullptr, [this, life] { PumpAll(life); });
}

void Network::PumpAll(const Life* server) {
  std::set<Id> awake;
  awake.swap(awake_[server]);
  for (const Id id : awake) {
    if (Exchange* const exchange = Find(id)) Pump(*exchange);
  }
}

void Network::Pump(Exchange& exchange) {
  const std::shared_ptr<ServerEnd> end = exchange.server_end;
  if (end == nullptr) return;
  while (exchange.unread < kUnreadMax) {
    WatchFrame frame;
    if (end->conversation_ != nullptr) frame = end->conversation_->Next();
    if (frame.empty()) {
      if (!end->end_.has_value()) return;
      exchange.server_end = nullptr;
      exchange.server_left = true;
      end->Leave();
      return Send(exchange, Direction::kToClient, [this, status = *end->end_](Exchange& to) {
        if (status.ok()) {
          Finish(to, std::string());
        } else {
          Finish(to, status);
        }
      });
    }
    std::string bytes;
    for (const auto& piece : frame) bytes += *piece;
    ++exchange.unread;
    Send(exchange, Direction::kToClient, [this, bytes = std::move(bytes)](Exchange& to) {
      world_->Add(world_->now(), to.client, nullptr, [this, id = to.id, bytes] {
        if (Exchange* const there = Find(id)) Deliver(*there, bytes);
      });
    });
  }
}

void Network::Deliver(Exchange& exchange, const std::string& bytes) {
  if (exchange.client_end == nullptr) return;
  world_->trace().Mix(bytes);
  ++brought_[exchange.client_name];
  Send(exchange, Direction::kToServer, [this](Exchange& to) {
    --to.unread;
    if (to.server_end != nullptr) Wake(to.server_end.get());
  });
  const absl::Status status = exchange.client_end->received_(bytes);
  if (!status.ok()) Finish(exchange, status);
}

void Network::Finish(Exchange& exchange, absl::StatusOr<std::string> outcome) {
  if (exchange.client_left) return;
  exchange.client_left = true;
  const std::shared_ptr<Life> client = exchange.client;
  if (exchange.done != nullptr) {
    if (outcome.ok()) world_->trace().Mix(*outcome);
    world_->Add(world_->now(), client, nullptr,
                [done = std::exchange(exchange.done, nullptr), outcome] { done(outcome); });
  } else if (exchange.client_end != nullptr) {
    ClientEnd* const end = std::exchange(exchange.client_end, nullptr);
    end->over_ = true;
    world_->Add(world_->now(), client, nullptr,
                [ended = end->ended_, outcome] { ended(outcome.status()); });
    if (exchange.server_end != nullptr) Cancel(exchange.id);
  }
  ForgetIfOver(exchange.id);
}

void Network::Cancel(Id id) {
  Exchange* const exchange = Find(id);
  if (exchange == nullptr) return;
  exchange->client_left = true;
  exchange->client_end = nullptr;
  Send(*exchange, Direction::kToServer, [this](Exchange& to) {
    to.server_left = true;
    if (to.server_end != nullptr) std::exchange(to.server_end, nullptr)->Leave();
    ForgetIfOver(to.id);
  });
}

void Network::ForgetIfOver(Id id) {
  const auto found = exchanges_.find(id);
  if (found == exchanges_.end() || !found->second->client_left || !found->second->server_left) {
    return;
  }
  exchanges_.erase(found);
}

void Network::ResetExchange(Id id, const std::string& why) {
  Exchange* const exchange = Find(id);
  if (exchange == nullptr) return;
  exchange->server_left = true;
  if (exchange->server_end != nullptr) std::exchange(exchange->server_end, nullptr)->Leave();
  if (exchange->client_left) {
    exchanges_.erase(id);
  } else {
    Finish(*exchange, Lost(why));
  }
}

void Network::LifeEnding(const Life* life) {
  std::vector<Id> served;
  std::vector<Id> called;
  for (const auto& [id, exchange] : exchanges_) {
    if (exchange->server == life) served.push_back(id);
    if (exchange->client.get() == life) called.push_back(id);
  }
  served_.erase(life);
  awake_.erase(life);
  for (const Id id : served) {
    // The service goes now, and with it what it has of the stream; the client hears later.
    Exchange& exchange = *exchanges_.at(id);
    if (exchange.server_end != nullptr) std::exchange(exchange.server_end, nullptr)->Leave();
    // Another life may come to lie where this one did.
    exchange.server = nullptr;
  }
  for (const Id id : called) {
    Exchange& exchange = *exchanges_.at(id);
    exchange.client_left = true;
    exchange.done = nullptr;
    if (exchange.client_end != nullptr) {
      std::exchange(exchange.client_end, nullptr)->over_ = true;
    }
  }
  const absl::Duration heard =
      silently_ ? kKeepalive
                : world_->random().Between(absl::ZeroDuration(), absl::Milliseconds(5));
  world_->After(heard, [this, served, called] {
    for (const Id id : served) ResetExchange(id, "the other process ended");
    for (const Id id : called) ResetExchange(id, "the client ended");
  });
}

}  // namespace berth::simulation
