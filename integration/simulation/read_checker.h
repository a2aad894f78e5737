#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "integration/simulation/history.h"
#include "integration/simulation/journal.h"
#include "integration/simulation/stream_model.h"

namespace berth::simulation {

// Whether the questions of a stream fit in between its commands: each was answered from the state
// after some record, which is no older than what was answered before the question was asked, be it
// a command or another question, and no newer than what was stored, or asked for, by its answer.
// Together with CheckWrites: the history is linearizable.
//
// `answer` is what the model's state answers. An error is what is not so; kFailedPrecondition:
// there were no questions.
absl::Status CheckReads(const std::vector<Journal::Entry>& records, const std::string& stream,
                        const std::vector<Operation>& operations, StreamModel* model,
                        const std::function<absl::StatusOr<std::string>(const Operation&)>& answer);

}  // namespace berth::simulation
