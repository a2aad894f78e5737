#include "common/manifest/route.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/manifest/hostname.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

using config::v1::Route;
using config::v1::RouteTarget;

constexpr uint32_t kPortMax = 65535;

}  // namespace

std::optional<Route> ParseListener(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('/', 1));
  uint32_t port = 0;
  // No sign, no leading zero, and nothing above a port's range.
  const bool is_port = absl::SimpleAtoi(parts.second, &port) && port >= 1 && port <= kPortMax &&
                       absl::StrCat(port) == parts.second;
  Route route;
  if (is_port && parts.first == "tls") {
    route.mutable_tls()->set_port(port);
  } else if (is_port && parts.first == "tcp") {
    route.mutable_tcp()->set_port(port);
  } else {
    return std::nullopt;
  }
  return route;
}

std::string ListenerText(const Route& route) {
  return absl::StrCat(route.has_tls() ? "tls/" : "tcp/", PortOf(route));
}

std::optional<RouteTarget> ParseRouteTarget(absl::string_view text) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits('.', 1));
  if (parts.first.empty() || parts.second.empty()) return std::nullopt;
  RouteTarget target;
  target.set_process(parts.first);
  target.set_port(parts.second);
  return target;
}

std::string ToString(const RouteTarget& target) {
  return absl::StrCat(target.process(), ".", target.port());
}

uint32_t PortOf(const Route& route) {
  return route.has_tls() ? route.tls().port() : route.tcp().port();
}

bool ListenAlike(const Route& left, const Route& right) {
  if (PortOf(left) != PortOf(right)) return false;
  return left.has_tcp() || right.has_tcp() || left.tls().hostname() == right.tls().hostname();
}

absl::Status CheckRoute(const Route& route) {
  const uint32_t port = PortOf(route);
  if (port < 1 || port > kPortMax) {
    return absl::InvalidArgumentError(absl::StrCat(port, " is no port to listen on"));
  }
  if (route.has_tls()) {
    BERTH_ASSIGN_OR_RETURN(const std::string hostname, CanonicalHostname(route.tls().hostname()));
    if (hostname != route.tls().hostname()) {
      return absl::InvalidArgumentError(absl::StrCat("the host name has to be written ", hostname));
    }
  }
  if (route.to().process().empty() || route.to().port().empty()) {
    return absl::InvalidArgumentError("the route leads nowhere; it takes a process and a port");
  }
  if (route.proxy_protocol() != config::v1::PROXY_PROTOCOL_NONE &&
      route.proxy_protocol() != config::v1::PROXY_PROTOCOL_V2) {
    return absl::InvalidArgumentError(
        "the route does not say whether instances get a PROXY header");
  }
  return absl::OkStatus();
}

}  // namespace berth
