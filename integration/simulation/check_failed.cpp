// In the place of common/check's: a failed check ends one simulated process, not the program. The
// linker takes this one, because it comes first.

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "integration/simulation/world.h"

namespace berth {

void CheckFailed(const char* file, int line, const char* condition, absl::string_view detail) {
  const std::string why = absl::StrCat(file, ":", line, ": ", condition, ": ", detail);
  const simulation::World* const world = simulation::World::Current();
  if (world != nullptr && world->running() != nullptr) throw simulation::ProcessAborted{why};
  std::fprintf(stderr, "%s\n", why.c_str());
  std::abort();
}

}  // namespace berth
