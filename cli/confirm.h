#pragma once

#include <string>

#include "absl/status/status.h"

namespace berth::cli {

// Asks whether something that cannot be taken back should be done: `question` names it and ends
// with a question mark, and the person types `word`. `confirmed`: the command line said --yes, and
// nobody is asked.
//
// A usage error where the answer is another, or nobody is there to ask.
absl::Status Confirm(const std::string& question, const std::string& word, bool confirmed);

}  // namespace berth::cli
