#pragma once

#include <cstdint>

#include "integration/simulation/scenario.h"

namespace berth::simulation {

// berth-config, berth-scheduler, berth-edge-router and berth-secrets, which follow each other;
// hosts with agents, and edges. People deploy, scale, restart, route, keep secrets and ask.
//
// Memory is never promised twice, what counts as idle has no connection, and a secret is given as
// it was put. Once all is mended every host runs what it should and nothing else, and every edge
// sends connections there.

// Each service on a disk of its own.
Outcome RunPlatformOnSqlite(uint64_t seed, bool show);

// Copies of each on a database.
Outcome RunPlatformOnDatabase(uint64_t seed, bool show);

}  // namespace berth::simulation
