#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "berth/config/v1/manifest.pb.h"

namespace berth {

// A route's listener as people write it, tls/PORT or tcp/PORT; of tls, the host name is left empty.
// nullopt: it is none.
std::optional<config::v1::Route> ParseListener(absl::string_view text);
std::string ListenerText(const config::v1::Route& route);

// PROCESS.PORT; nullopt: it is not.
std::optional<config::v1::RouteTarget> ParseRouteTarget(absl::string_view text);
std::string ToString(const config::v1::RouteTarget& target);

uint32_t PortOf(const config::v1::Route& route);

// Whether an edge could not tell the two apart: what takes a whole port shares it with nobody.
bool ListenAlike(const config::v1::Route& left, const config::v1::Route& right);

// kInvalidArgument: a manifest could not ask for this route, or it is not in the one form that a
// manifest gives it.
absl::Status CheckRoute(const config::v1::Route& route);

}  // namespace berth
