#pragma once

#include "absl/status/status.h"
#include "agent/network/network.h"

namespace berth {

// Lets this host route packets between the mesh and its own prefix: turns IPv6 forwarding on, lets
// the platform's packets through a packet filter that drops what it forwards, and keeps their
// source addresses. Idempotent. kFailedPrecondition: not root, or ip6tables is missing; the message
// says what to do.
absl::Status ForwardBetweenHosts(const HostPrefix& prefix);

}  // namespace berth
