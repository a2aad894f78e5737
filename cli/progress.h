#pragma once

#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/environment_view.h"

namespace berth::cli {

// A line for each instance whose state differs, in the order of the instances; those that are gone
// come last.
std::vector<std::string> ChangeLines(const EnvironmentView& before, const EnvironmentView& after,
                                     absl::Duration elapsed);

// A line for each instance, and above them how far it is. None is wider than `width` characters.
std::vector<std::string> StatusLines(const EnvironmentView& view, const std::string& title,
                                     absl::Duration elapsed, size_t width);

// Shows a person who waits how an environment changes: redrawn in place on a terminal, a line for
// each change elsewhere, nothing where nobody reads it.
class Progress {
 public:
  enum class Style { kNone, kLines, kRedraw };

  Progress(Style style, std::string title, FILE* file)
      : style_(style), title_(std::move(title)), file_(file) {}

  void Show(const EnvironmentView& view, absl::Duration elapsed);

  // Lines take their place: what was drawn is wiped, so that the result stands alone.
  void Finish() { Wipe(); }

 private:
  void Wipe();

  const Style style_;
  const std::string title_;
  FILE* const file_;
  EnvironmentView shown_;
  size_t lines_drawn_ = 0;
};

}  // namespace berth::cli
