#include "cli/confirm.h"

#include <iostream>

#include "absl/strings/ascii.h"
#include "cli/errors.h"
#include "cli/output.h"

namespace berth::cli {

absl::Status Confirm(const std::string& question, const std::string& word, bool confirmed) {
  if (confirmed) return absl::OkStatus();
  if (!IsTerminal(stdin) || !IsTerminal(stderr)) {
    return WithAction(UsageError("this must be confirmed, and nobody is here to ask"),
                      "say --yes if it is what you want: " + question);
  }
  std::cerr << question << " Type " << word << ": " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  if (absl::StripAsciiWhitespace(answer) == word) return absl::OkStatus();
  return UsageError("not confirmed; nothing was changed");
}

}  // namespace berth::cli
