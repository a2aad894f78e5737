#pragma once

#include <string>
#include <vector>

#include "cli/environment_state.h"

namespace berth::cli {

// One thing that is not the same in two states.
struct Difference {
  std::string what;    // Such as image, web.env.COLOUR or secret api-key.
  std::string before;  // Empty: it was not there.
  std::string after;   // Empty: it is not there any more.
};

// What tells two states of an environment apart: its release and what that says, which versions of
// secrets are active, its routes. What instances do is left out.
std::vector<Difference> DiffStates(const EnvironmentState& before, const EnvironmentState& after);

}  // namespace berth::cli
