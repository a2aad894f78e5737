#include "services/scheduler/scoring.h"

namespace berth::scheduler {

namespace {

size_t SiblingsOn(const std::string& host, const Environment& environment,
                  const std::string& process_type) {
  size_t siblings = 0;
  for (const auto& [id, instance] : environment.instances) {
    if (instance.host == host && instance.assignment.process_type() == process_type &&
        instance.assignment.intent() == v1::INTENT_RUN) {
      ++siblings;
    }
  }
  return siblings;
}

}  // namespace

Score ScoreHost(const std::string& name, const Host& host, const Environment& environment,
                const std::string& process_type) {
  const config::v1::Placement& placement =
      environment.wanted.desired().manifest().processes().at(process_type).placement();
  const size_t siblings = placement.spread() == config::v1::SPREAD_NONE
                              ? 0
                              : SiblingsOn(name, environment, process_type);
  // Per mille of memory promised: a coarse number, so that hosts of other sizes compare.
  const uint64_t capacity = host.facts.capacity().memory_bytes();
  const int64_t fullness =
      capacity == 0 ? 1000 : static_cast<int64_t>(host.promised.memory_bytes() * 1000 / capacity);
  return {siblings, fullness, name};
}

}  // namespace berth::scheduler
