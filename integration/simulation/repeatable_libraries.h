#pragma once

#include <cstdint>

namespace berth::simulation {

// From now on what libraries make up is a function of the seed: libsodium's keys, nonces and sealed
// boxes, SQLite's salts. Protobuf writes maps in the order of their keys.
void MakeLibrariesRepeatable(uint64_t seed);

}  // namespace berth::simulation
