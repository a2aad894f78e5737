#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "integration/simulation/client.h"
#include "integration/simulation/history.h"
#include "services/scheduler/state.h"

namespace berth::simulation {

// What people ask of berth-scheduler: restarts, labels of hosts, and how things are.
std::optional<Asked> AskScheduler(Random* random);

// A restart of one of the environments.
Asked AskToRestart(Random* random);

// The question that anyone may ask: which hosts there are.
Asked AskHosts();

// What a state answers to one of the questions.
absl::StatusOr<std::string> AnswerOfScheduler(const scheduler::State& state,
                                              const Operation& question);

}  // namespace berth::simulation
