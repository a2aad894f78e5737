#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "agent/network/network.h"
#include "agent/runtime/podman/podman_service.h"
#include "common/libpod/libpod_client.h"

namespace berth {

// A bridge network of Podman (netavark) with the host's prefix. Podman gives the bridge the first
// address of the prefix and the instances theirs; between hosts packets are routed, never
// translated.
class Bridge : public Network {
 public:
  // `name` is the network's, at most kBridgeNameMax characters; its interface is named after it.
  Bridge(const PodmanServiceSettings& settings, std::string name);

  absl::Status EnsureNetwork(const HostPrefix& prefix) override;
  absl::Status KeepHardwareAddress() override;
  std::string name() const override { return name_; }
  absl::StatusOr<std::string> Interface() override;

  // Removes the network, for a host that leaves; nothing may be attached to it any more. What is
  // gone already is OK.
  absl::Status Remove();

 private:
  std::string InterfaceName() const { return name_ + "0"; }
  absl::Status Create(const HostPrefix& prefix);
  // Removes an interface of the network's name that is there before the network, and to which
  // nothing is attached: Podman would take it over with whatever addresses it has.
  absl::Status RemoveLeftover();
  absl::Status RemoveUnused(const nlohmann::json& network);

  const std::string name_;
  PodmanService service_;
  LibpodClient client_;
};

// The kernel takes interface names of 15 characters.
inline constexpr size_t kBridgeNameMax = 14;

}  // namespace berth
