#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/net/unique_fd.h"
#include "edge/client_hello.h"
#include "edge/counters.h"
#include "edge/event_loop.h"
#include "edge/flow.h"
#include "edge/route_table.h"
#include "edge/timer_heap.h"
#include "edge/upstream_registry.h"

namespace berth::edge {

// Upstreams that one connection tries before it is given up.
inline constexpr size_t kConnectAttemptsMax = 3;

// How long the phases of a connection may take.
struct ConnectionTimeouts {
  // From accept until the client has sent its first byte, where a server name is waited for.
  absl::Duration first_byte = absl::Seconds(5);
  // From accept until its ClientHello is complete. At least `first_byte`.
  absl::Duration hello = absl::Seconds(10);
  // Each attempt at an upstream.
  absl::Duration connect = absl::Seconds(2);
  // Without a byte in either direction, once established. Never by default: what is idle is the
  // application's to judge, and a client that is gone is found by TCP keepalive.
  absl::Duration idle = absl::InfiniteDuration();
  // The same after the upstream has sent its end: few clients have more to say then.
  absl::Duration idle_after_upstream_end = absl::Seconds(60);
  // For a client to take a refusal before the socket is closed.
  absl::Duration linger = absl::Seconds(2);
};

class Connection;

// What the connections of one loop share; used on its thread only and outlives them.
struct ConnectionContext {
  EventLoop* loop;
  UpstreamRegistry* registry;
  Counters* counters;
  ConnectionTimeouts timeouts;
  // Where connections that begin now go.
  std::shared_ptr<const RouteTable> table;
  FlowBuffers buffers;
  // Called as the last thing a connection does. It is destroyed at the end of the turn.
  std::function<void(Connection*)> on_end;
};

// A client's connection and, once its route is known, the one to an upstream.
//
//   reading hello → connecting → relaying → ended
//         └──────────────┴───────────┴─→ lingering → ended
//
// A port without host names begins with connecting. An attempt that fails before a byte was sent is
// followed by one at another upstream, with the table of that moment. Lingering means that the
// client was told the end (FIN) and may still take what was sent to it: closing at once while bytes
// of the client lie unread would reset the connection, which makes a client drop what it has not
// read.
class Connection {
 public:
  // `client` was accepted on `port` and does not block.
  Connection(ConnectionContext* context, UniqueFd client, uint16_t port);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Start();

  // Ends what goes through the upstream `id`: an established connection is closed, one still being
  // made is made to another. Nothing happens to a connection with another upstream.
  void LeaveUpstream(absl::string_view id);

  // Ends it at once.
  void End();

  // Its index in the list of the loop, which alone uses it.
  size_t place = 0;

 private:
  enum class Phase : uint8_t { kReadingHello, kConnecting, kRelaying, kLingering, kEnded };
  enum class Alert : uint8_t { kNone, kDecodeError = 50, kUnrecognizedName = 112 };

  struct ClientSide final : EventLoop::Handler {
    explicit ClientSide(Connection* owner) : connection(owner) {}
    void OnReady(uint32_t events) override { connection->OnClientReady(events); }
    Connection* const connection;
  };
  struct UpstreamSide final : EventLoop::Handler {
    explicit UpstreamSide(Connection* owner) : connection(owner) {}
    void OnReady(uint32_t events) override { connection->OnUpstreamReady(events); }
    Connection* const connection;
  };

  void OnClientReady(uint32_t events);
  void OnUpstreamReady(uint32_t events);
  void OnTimer();

  void ReadHello();
  // Finds the route for what the client said and connects to one of its upstreams, or refuses.
  void Route(const HelloVerdict& hello);
  void ConnectToOneOf(const RouteTable::Match& match, absl::string_view server_name);
  // False: the attempt failed at once. Where this machine lacks what it takes, it ends the
  // connection and is true.
  bool StartConnecting();
  // Begins to relay, or tries another upstream.
  void FinishConnecting();
  void AttemptFailed();
  std::string ProxyHeaderFor(const RouteTable::Match& match, absl::string_view server_name) const;

  void Relay();
  void PumpBoth();
  absl::Duration IdleTimeout() const;
  void OnIdleTimer();

  void Refuse(Alert alert, Count reason);
  void Linger();
  void Discard();
  // Ends it so that both peers see that it failed.
  void Reset();
  void ReleaseUpstream();

  ConnectionContext* const context_;
  ClientSide client_side_{this};
  UpstreamSide upstream_side_{this};
  UniqueFd client_;
  UniqueFd upstream_socket_;
  const uint16_t port_;
  Phase phase_ = Phase::kReadingHello;
  bool client_watched_for_room_ = false;  // Whether epoll tells when the client can take bytes.
  bool has_next_turn_ = false;
  uint8_t attempts_ = 0;
  Upstream* upstream_ = nullptr;  // While it counts one of its connections.
  // The first `attempts_` are those that were tried; only compared, they may be gone.
  std::array<Upstream*, kConnectAttemptsMax> tried_ = {};
  Timer timer_;  // Of the phase.

  std::string hello_;         // The client's bytes until they go upstream.
  std::string proxy_header_;  // For the upstream that is being connected to; may be empty.
  Flow to_upstream_;
  Flow to_client_;
  Flow::State to_upstream_state_ = Flow::State::kOpen;
  Flow::State to_client_state_ = Flow::State::kOpen;
  absl::Duration last_activity_;  // When it started; while relaying, when a byte may have moved.
  size_t discarded_bytes_ = 0;    // While lingering.
};

}  // namespace berth::edge
