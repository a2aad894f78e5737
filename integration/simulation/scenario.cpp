#include "integration/simulation/scenario.h"

#include "integration/simulation/config_scenario.h"
#include "integration/simulation/platform_scenario.h"

namespace berth::simulation {

const std::vector<Scenario>& Scenarios() {
  static const auto* const all = new std::vector<Scenario>{
      {"config-sqlite", RunConfigOnSqlite},
      {"config-database", RunConfigOnDatabase},
      {"platform-sqlite", RunPlatformOnSqlite},
      {"platform-database", RunPlatformOnDatabase},
  };
  return *all;
}

const Scenario* FindScenario(const std::string& name) {
  for (const Scenario& scenario : Scenarios()) {
    if (scenario.name == name) return &scenario;
  }
  return nullptr;
}

}  // namespace berth::simulation
