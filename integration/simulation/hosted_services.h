#pragma once

#include "integration/simulation/service_host.h"

namespace berth::simulation {

// The services, as a ServiceHost makes them for each of its lives.
Served MakeConfig(const Foundation& on);

}  // namespace berth::simulation
