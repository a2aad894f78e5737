#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/net/socket_address.h"
#include "edge/upstream_picker.h"
#include "edge/upstream_registry.h"

namespace berth::edge {

// What an upstream gets before a connection's own bytes.
enum class ProxyProtocol : uint8_t { kNone, kV2 };

// A route as whoever makes a table lists it.
struct Route {
  struct Upstream {
    std::string id;
    SocketAddress address;
    // Its connections go on; it gets no new one.
    bool draining = false;
  };

  std::string id;     // 1 to 255 bytes.
  uint16_t port = 0;  // On the edge, 1 to 65535.
  // Takes the TLS connections that ask for this host, "*.example.com" with any one label in place
  // of the star. nullopt takes what no host name on the port takes: everything on a port without
  // them.
  std::optional<std::string> hostname;
  ProxyProtocol proxy_protocol = ProxyProtocol::kNone;
  BalancePolicy policy = BalancePolicy::kLeastConnections;
  std::vector<Upstream> upstreams;
};

// Where connections go: an immutable snapshot, replaced whole. Compact, because an edge may carry
// tens of thousands of routes. Safe to use from any thread.
class RouteTable {
 public:
  // One route of the table; valid as long as the table.
  struct Match {
    absl::string_view id;
    ProxyProtocol proxy_protocol;
    BalancePolicy policy;
    absl::Span<Upstream* const> upstreams;  // Without those that drain.
  };

  // `registry` outlives the table. kInvalidArgument names the route and what is wrong: the port, a
  // host name not in its normal form, two routes for the same port and host, too many upstreams.
  static absl::StatusOr<std::shared_ptr<const RouteTable>> Build(absl::Span<const Route> routes,
                                                                 UpstreamRegistry* registry);
  ~RouteTable();
  RouteTable(const RouteTable&) = delete;
  RouteTable& operator=(const RouteTable&) = delete;

  // Every port that some route listens on, ascending.
  absl::Span<const uint16_t> ports() const { return ports_; }

  // Whether connections to `port` are told apart by their TLS server name.
  bool HasHostnames(uint16_t port) const;

  // The route for a normalised host name: the name itself, before a wildcard that covers it.
  std::optional<Match> FindHostname(uint16_t port, absl::string_view hostname) const;

  // The route that takes what no host name on the port takes.
  std::optional<Match> FindDefault(uint16_t port) const;

  // Every upstream that may get connections, once for each route that names it.
  absl::Span<Upstream* const> upstreams() const { return upstreams_; }

  size_t size() const { return routes_.size(); }

  // Of the table itself; upstreams stand in the registry and are shared.
  size_t MemoryBytes() const;

 private:
  // Ids and host names lie in `text_`, upstreams in `upstreams_`.
  struct PackedRoute {
    uint32_t text_begin = 0;  // The id, then the host name.
    uint32_t upstreams_begin = 0;
    uint16_t upstreams_count = 0;
    uint16_t port = 0;
    uint8_t id_size = 0;
    uint8_t hostname_size = 0;  // 0: the port's default.
    ProxyProtocol proxy_protocol = ProxyProtocol::kNone;
    BalancePolicy policy = BalancePolicy::kLeastConnections;
  };

  explicit RouteTable(UpstreamRegistry* registry) : registry_(registry) {}

  void Add(const Route& route);
  absl::string_view IdOf(const PackedRoute& route) const;
  absl::string_view HostnameOf(const PackedRoute& route) const;
  std::optional<Match> FindExact(uint16_t port, absl::string_view hostname) const;

  UpstreamRegistry* const registry_;
  std::vector<PackedRoute> routes_;  // Ordered by port, then by host name.
  std::string text_;
  std::vector<Upstream*> upstreams_;
  std::vector<uint16_t> ports_;
};

}  // namespace berth::edge
