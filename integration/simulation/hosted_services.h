#pragma once

#include <string>
#include <vector>

#include "common/crypto/key_ring.h"
#include "common/crypto/signature.h"
#include "integration/simulation/network.h"
#include "integration/simulation/service_host.h"

namespace berth::simulation {

// The services, as a ServiceHost makes them for each of its lives.
Served MakeConfig(const Foundation& on);

// `key_ring` outlives it.
ServiceHost::Make MakeSecrets(const KeyRing* key_ring);

// The processes that a service finds the others in; of each one leads.
struct Platform {
  std::vector<std::string> auth;
  std::vector<std::string> config;
  std::vector<std::string> edge_router;
  std::vector<std::string> scheduler;
  std::vector<std::string> secrets;
};

ServiceHost::Make MakeEdgeRouter(Network* network, Platform platform);

// `grant_key` outlives it.
ServiceHost::Make MakeScheduler(Network* network, Platform platform, const SigningKey* grant_key);

}  // namespace berth::simulation
