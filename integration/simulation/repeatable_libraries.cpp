#include "integration/simulation/repeatable_libraries.h"

#include <google/protobuf/io/coded_stream.h>
#include <sodium.h>
#include <sqlite3.h>

#include <cstddef>

#include "common/check/check.h"
#include "integration/simulation/random.h"

namespace google::protobuf::internal {

// A friend that CodedOutputStream has for its own tests. Maps are otherwise written in an order
// that the processor's time stamp counter has a part in.
void MapTestForceDeterministic() { io::CodedOutputStream::SetDefaultSerializationDeterministic(); }

}  // namespace google::protobuf::internal

namespace berth::simulation {
namespace {

Random g_random(0);

const char* Name() { return "seeded"; }
uint32_t Number() { return static_cast<uint32_t>(g_random.Next()); }
void Fill(void* const buffer, const size_t size) {
  auto* const bytes = static_cast<unsigned char*>(buffer);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(g_random.Next());
}

}  // namespace

void MakeLibrariesRepeatable(uint64_t seed) {
  static randombytes_implementation seeded = {.implementation_name = Name,
                                              .random = Number,
                                              .stir = nullptr,
                                              .uniform = nullptr,
                                              .buf = Fill,
                                              .close = nullptr};
  g_random = Random(seed);
  BERTH_CHECK(randombytes_set_implementation(&seeded) == 0);
  BERTH_CHECK(sodium_init() >= 0);
  google::protobuf::internal::MapTestForceDeterministic();
  BERTH_CHECK(sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED,
                                   static_cast<int>(seed % 0x7fffffff) + 1, nullptr) == SQLITE_OK);
}

}  // namespace berth::simulation
