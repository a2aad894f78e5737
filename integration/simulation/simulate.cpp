// Runs seeds of the simulator. A seed that fails is printed with what happened last and with the
// command that runs it again; the program then ends with 1. Otherwise a hash of all that happened
// is printed, which is the same for the same seeds.
//
//   simulate [--scenario NAME] [--seed N] [--seeds COUNT] [--seconds LIMIT] [--show] [--log]
//
// Without --seed, the first seed is the time. Where no scenario is named, all are run: by count in
// turn, by time one after another, the same share for each.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/log/log.h"
#include "integration/simulation/scenario.h"
#include "integration/simulation/trace.h"

namespace berth::simulation {
namespace {

struct Settings {
  std::vector<Scenario> scenarios = Scenarios();
  uint64_t seed = 0;
  uint64_t seeds = 1;
  absl::Duration limit = absl::InfiniteDuration();
  bool show = false;
  bool log = false;
};

bool Read(int argc, char** argv, Settings* settings) {
  settings->seed = static_cast<uint64_t>(absl::ToUnixMicros(absl::Now()));
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--show") {
      settings->show = true;
      continue;
    }
    if (option == "--log") {
      settings->log = true;
      continue;
    }
    if (++i == argc) return false;
    const std::string value = argv[i];
    uint64_t number = 0;
    if (option == "--scenario") {
      const Scenario* const found = FindScenario(value);
      if (found == nullptr) return false;
      settings->scenarios = {*found};
    } else if (!absl::SimpleAtoi(value, &number)) {
      return false;
    } else if (option == "--seed") {
      settings->seed = number;
    } else if (option == "--seeds") {
      settings->seeds = number;
    } else if (option == "--seconds") {
      settings->limit = absl::Seconds(static_cast<int64_t>(number));
      settings->seeds = UINT64_MAX;
    } else {
      return false;
    }
  }
  return true;
}

// Runs seeds of these scenarios, in turn. False: one failed.
bool RunSeeds(const std::vector<Scenario>& scenarios, const std::string& what,
              const Settings& settings, absl::Duration limit) {
  const absl::Time begin = absl::Now();
  std::map<std::string, uint64_t> totals;
  Trace trace;
  uint64_t done = 0;
  for (; done < settings.seeds && absl::Now() - begin < limit; ++done) {
    const uint64_t seed = settings.seed + done;
    const Scenario& scenario = scenarios[seed % scenarios.size()];
    const Outcome outcome = scenario.run(seed, settings.show);
    if (outcome.failure.has_value()) {
      for (const std::string& line : outcome.history) std::printf("%s\n", line.c_str());
      std::printf("seed %llu of %s failed: %s\nagain with: simulate --scenario %s --seed %llu\n",
                  static_cast<unsigned long long>(seed), scenario.name, outcome.failure->c_str(),
                  scenario.name, static_cast<unsigned long long>(seed));
      return false;
    }
    trace.Mix(outcome.trace_hash);
    for (const auto& [name, number] : outcome.numbers) totals[name] += number;
  }
  for (const auto& [name, number] : totals) {
    std::printf("%12llu %s\n", static_cast<unsigned long long>(number), name.c_str());
  }
  std::printf("trace %016llx\n%llu seeds of %s passed in %s\n",
              static_cast<unsigned long long>(trace.hash()), static_cast<unsigned long long>(done),
              what.c_str(), absl::FormatDuration(absl::Now() - begin).c_str());
  return true;
}

bool Run(const Settings& settings) {
  std::printf("first seed %llu\n", static_cast<unsigned long long>(settings.seed));
  const std::vector<Scenario>& all = settings.scenarios;
  if (settings.limit == absl::InfiniteDuration()) {
    return RunSeeds(all, all.size() == 1 ? all.front().name : "all scenarios", settings,
                    settings.limit);
  }
  return std::all_of(all.begin(), all.end(), [&](const Scenario& one) {
    return RunSeeds({one}, one.name, settings, settings.limit / static_cast<int64_t>(all.size()));
  });
}

}  // namespace
}  // namespace berth::simulation

int main(int argc, char** argv) {
  berth::simulation::Settings settings;
  if (!berth::simulation::Read(argc, argv, &settings)) {
    std::fprintf(stderr,
                 "usage: simulate [--scenario NAME] [--seed N] [--seeds COUNT] [--seconds LIMIT] "
                 "[--show] [--log]\n");
    return 2;
  }
  // What the services say of each fault would bury what is said of the run.
  if (!settings.log) berth::SetLogLevel(static_cast<berth::LogLevel>(99));
  return berth::simulation::Run(settings) ? 0 : 1;
}
