#pragma once

#include "integration/simulation/scenario.h"

namespace berth::simulation {

// berth-config with people who deploy, roll back, scale and ask, and services that watch, while its
// process, disk or database and their network fail; then everything is mended, and what all of them
// saw is checked.
Outcome RunConfigOnSqlite(uint64_t seed, bool show);
// Three copies of it on one database, of which one leads.
Outcome RunConfigOnDatabase(uint64_t seed, bool show);

}  // namespace berth::simulation
