#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace berth::simulation {

// What came of one seed.
struct Outcome {
  std::optional<std::string> failure;  // Which promise was broken; nothing: none.
  uint64_t trace_hash = 0;
  std::deque<std::string> history;  // The newest lines of what happened.
  // What was done, so that a run in which nothing happened is not taken for one that went well.
  std::map<std::string, uint64_t> numbers;
};

// A kind of world, with the faults that happen in it.
struct Scenario {
  const char* name;
  // Runs one seed; `show` writes what happens to stderr. The same seed gives the same outcome.
  Outcome (*run)(uint64_t seed, bool show);
};

// All there are.
const std::vector<Scenario>& Scenarios();
const Scenario* FindScenario(const std::string& name);

}  // namespace berth::simulation
