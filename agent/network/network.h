#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace berth {

// The longest one call of a network takes.
inline constexpr absl::Duration kNetworkCallMax = absl::Seconds(30);

// What instances of one host share.
struct HostPrefix {
  // The host's /64 of the platform's ULA prefix, as `fd00:1:2:3::/64`. The first address of it is
  // the host's own in this network.
  std::string ipv6;
  // The platform's /48, which holds the /64s of all hosts. Traffic within it keeps its source
  // address; what leaves it does so under the host's.
  std::string platform_ipv6;
  // Gives instances a private IPv4 address beside their own, which leads out to IPv4-only peers and
  // which nobody reaches from outside. The network picks a subnet that is free on this host.
  bool ipv4_egress = true;
};

// The network that the instances of this host are attached to. Idempotent, as a driver is; calls
// block, may be made from any thread, one at a time.
class Network {
 public:
  virtual ~Network() = default;

  // Makes the network exist with this prefix, and the host forward packets for it.
  //
  // A network of that name with another prefix is made anew if nothing is attached to it; else
  // kFailedPrecondition, and the message names what is attached. kFailedPrecondition also when this
  // host lacks something; the message says what to install or do. kUnavailable: try again.
  virtual absl::Status EnsureNetwork(const HostPrefix& prefix) = 0;

  // Keeps the hardware address that the host's interface has now; for each instance that is
  // attached anew. A bridge has the lowest of its members', and where that leaves with its
  // instance, the others would send to it for many seconds more. At any time. kNotFound: there is
  // no interface yet.
  virtual absl::Status KeepHardwareAddress() = 0;

  // What InstanceSpec::network says to be attached to it.
  virtual std::string name() const = 0;

  // The host's interface in the network, over which it routes its prefix; kNotFound before
  // EnsureNetwork. The interface itself may appear only with the first instance.
  virtual absl::StatusOr<std::string> Interface() = 0;
};

}  // namespace berth
