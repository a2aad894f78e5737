#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "integration/simulation/history.h"
#include "integration/simulation/journal.h"

namespace berth::simulation {

// Whether the commands of a stream could have been carried out one at a time, each at a moment
// between its call and its answer: as the stream's records are in one order, it is enough that each
// answered command has one record, stored before the answer arrived and after the call, with that
// answer, and that what was answered before another was called comes before it. One of unknown
// outcome has one record or none.
//
// `silent` are principals who ask and keep no history, such as other services.
//
// An error is what is not so; kFailedPrecondition: the history says too little to be checked.
absl::Status CheckWrites(const std::vector<Journal::Entry>& records, const std::string& stream,
                         const std::vector<Operation>& operations,
                         const std::set<std::string>& silent = {});

}  // namespace berth::simulation
