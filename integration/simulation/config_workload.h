#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "berth/types/v1/types.pb.h"
#include "integration/simulation/client.h"
#include "integration/simulation/history.h"
#include "services/config/state.h"

namespace berth::simulation {

// One of those that are deployed to.
types::v1::EnvironmentName AnyEnvironment(Random* random);

// One that routes are made for, of few.
std::string AnyHostname(Random* random);

// What people ask of berth-config: deploys, good and bad, of few apps, so that they meet each
// other.
std::optional<Asked> AskConfig(Random* random);
// Of what there is only.
std::optional<Asked> AskConfigQuestions(Random* random);

// A deploy, good or bad.
Asked AskToDeploy(Random* random);

// The question that anyone may ask: which environments there are.
Asked AskEnvironments();

// What the scheduler tells it: how rollouts end.
std::optional<Asked> ReportRollouts(Random* random);

// What a state answers to one of the questions.
absl::StatusOr<std::string> AnswerOfConfig(const config::State& state, const Operation& question);

}  // namespace berth::simulation
