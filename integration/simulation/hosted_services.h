#pragma once

#include <string>

#include "common/crypto/signature.h"
#include "integration/simulation/network.h"
#include "integration/simulation/service_host.h"

namespace berth::simulation {

// The services, as a ServiceHost makes them for each of its lives.
Served MakeConfig(const Foundation& on);

// berth-scheduler follows `config`, and for all other services `others`: names of processes.
// `grant_key` outlives it.
ServiceHost::Make MakeScheduler(Network* network, std::string config, std::string others,
                                const SigningKey* grant_key);

}  // namespace berth::simulation
