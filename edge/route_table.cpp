#include "edge/route_table.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status/status_macros.h"
#include "edge/hostname.h"
#include "edge/packed_address.h"

namespace berth::edge {
namespace {

constexpr size_t kRouteIdSizeMax = std::numeric_limits<uint8_t>::max();
constexpr size_t kUpstreamsPerRouteMax = std::numeric_limits<uint16_t>::max();

absl::string_view HostnameOrEmpty(const Route& route) {
  return route.hostname.has_value() ? absl::string_view(*route.hostname) : absl::string_view();
}

bool IsNormalHostname(absl::string_view hostname) {
  absl::ConsumePrefix(&hostname, "*.");
  return NormaliseHostname(hostname) == std::string(hostname);
}

absl::Status CheckRoute(const Route& route) {
  auto wrong = [&route](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("route \"", route.id, "\": ", what));
  };
  if (route.id.empty() || route.id.size() > kRouteIdSizeMax) {
    return wrong(absl::StrCat("an id has 1 to ", kRouteIdSizeMax, " bytes"));
  }
  if (route.port == 0) return wrong("port 0 is not a port");
  if (route.hostname.has_value() && !IsNormalHostname(*route.hostname)) {
    return wrong(absl::StrCat("\"", *route.hostname, "\" is not a host name in lower case"));
  }
  if (route.upstreams.size() > kUpstreamsPerRouteMax) {
    return wrong(absl::StrCat(route.upstreams.size(), " upstreams; at most ", kUpstreamsPerRouteMax,
                              " are possible"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const RouteTable>> RouteTable::Build(absl::Span<const Route> routes,
                                                                    UpstreamRegistry* registry) {
  size_t text_size = 0;
  size_t upstreams_count = 0;
  std::vector<const Route*> ordered;
  ordered.reserve(routes.size());
  for (const Route& route : routes) {
    BERTH_RETURN_IF_ERROR(CheckRoute(route));
    text_size += route.id.size() + HostnameOrEmpty(route).size();
    upstreams_count += route.upstreams.size();
    ordered.push_back(&route);
  }
  if (text_size > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError("the ids and host names of the routes exceed 4 GiB");
  }
  auto key = [](const Route* route) {
    return std::make_tuple(route->port, HostnameOrEmpty(*route));
  };
  std::sort(ordered.begin(), ordered.end(),
            [&key](const Route* a, const Route* b) { return key(a) < key(b); });

  std::shared_ptr<RouteTable> table(new RouteTable(registry));
  table->routes_.reserve(routes.size());
  table->text_.reserve(text_size);
  table->upstreams_.reserve(upstreams_count);
  const Route* before = nullptr;
  for (const Route* route : ordered) {
    if (before != nullptr && key(before) == key(route)) {
      return absl::InvalidArgumentError(
          absl::StrCat("routes \"", before->id, "\" and \"", route->id, "\" both take port ",
                       route->port, ", host name \"", HostnameOrEmpty(*route), "\""));
    }
    table->Add(*route);
    before = route;
  }
  table->ports_.shrink_to_fit();
  return table;
}

RouteTable::~RouteTable() { registry_->ReleaseFromTable(upstreams_); }

void RouteTable::Add(const Route& route) {
  const absl::string_view hostname = HostnameOrEmpty(route);
  PackedRoute packed;
  packed.text_begin = static_cast<uint32_t>(text_.size());
  packed.id_size = static_cast<uint8_t>(route.id.size());
  packed.hostname_size = static_cast<uint8_t>(hostname.size());
  packed.port = route.port;
  packed.proxy_protocol = route.proxy_protocol;
  packed.policy = route.policy;
  packed.upstreams_begin = static_cast<uint32_t>(upstreams_.size());
  absl::StrAppend(&text_, route.id, hostname);
  for (const Route::Upstream& upstream : route.upstreams) {
    // One that drains gets no new connection, so the table need not know it.
    if (upstream.draining) continue;
    upstreams_.push_back(
        registry_->HoldForTable(upstream.id, PackedAddress::From(upstream.address)));
    ++packed.upstreams_count;
  }
  routes_.push_back(packed);
  if (ports_.empty() || ports_.back() != route.port) ports_.push_back(route.port);
}

absl::string_view RouteTable::IdOf(const PackedRoute& route) const {
  return absl::string_view(text_).substr(route.text_begin, route.id_size);
}

absl::string_view RouteTable::HostnameOf(const PackedRoute& route) const {
  return absl::string_view(text_).substr(route.text_begin + route.id_size, route.hostname_size);
}

bool RouteTable::HasHostnames(uint16_t port) const {
  // The port's last route: its default, without a name, stands first.
  const auto end =
      std::partition_point(routes_.begin(), routes_.end(),
                           [port](const PackedRoute& route) { return route.port <= port; });
  return end != routes_.begin() && std::prev(end)->port == port &&
         std::prev(end)->hostname_size > 0;
}

std::optional<RouteTable::Match> RouteTable::FindHostname(uint16_t port,
                                                          absl::string_view hostname) const {
  if (hostname.empty()) return std::nullopt;
  if (std::optional<Match> exact = FindExact(port, hostname); exact.has_value()) return exact;
  const size_t dot = hostname.find('.');
  if (dot == absl::string_view::npos) return std::nullopt;
  return FindExact(port, absl::StrCat("*", hostname.substr(dot)));
}

std::optional<RouteTable::Match> RouteTable::FindDefault(uint16_t port) const {
  return FindExact(port, "");
}

std::optional<RouteTable::Match> RouteTable::FindExact(uint16_t port,
                                                       absl::string_view hostname) const {
  const auto found =
      std::partition_point(routes_.begin(), routes_.end(), [&](const PackedRoute& route) {
        return route.port != port ? route.port < port : HostnameOf(route) < hostname;
      });
  if (found == routes_.end() || found->port != port || HostnameOf(*found) != hostname) {
    return std::nullopt;
  }
  return Match{
      IdOf(*found), found->proxy_protocol, found->policy,
      absl::MakeConstSpan(upstreams_).subspan(found->upstreams_begin, found->upstreams_count)};
}

size_t RouteTable::MemoryBytes() const {
  return sizeof(*this) + routes_.capacity() * sizeof(PackedRoute) + text_.capacity() +
         upstreams_.capacity() * sizeof(Upstream*) + ports_.capacity() * sizeof(uint16_t);
}

}  // namespace berth::edge
