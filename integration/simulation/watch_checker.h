#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "integration/simulation/history.h"
#include "integration/simulation/journal.h"
#include "integration/simulation/stream_model.h"

namespace berth::simulation {

// Whether what watchers of a stream's topics received is what its records say: each delta is the
// topic's next one, whole (ordered, unique, reliable, atomic); a stream goes on where it was
// resumed (resumable); a bookmark passes over nothing (bookmarkable); a snapshot is all of the
// topic at its revision. Nothing is shown before it is stored, and no history is called another
// one.
//
// An error is what is not so; kFailedPrecondition: the histories say too little to be checked.
absl::Status CheckWatches(const std::vector<Journal::Entry>& records, const std::string& stream,
                          const std::function<std::unique_ptr<StreamModel>()>& make_model,
                          const std::vector<WatchHistory>& histories);

}  // namespace berth::simulation
