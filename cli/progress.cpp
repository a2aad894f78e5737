#include "cli/progress.h"

#include <sys/ioctl.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/wording.h"

namespace berth::cli {
namespace {

using scheduler::v1::Instance;

constexpr size_t kWidthDefault = 80;
// More lines than a terminal is high could not be wiped again.
constexpr size_t kLinesDefault = 24;

struct TerminalSize {
  size_t columns = kWidthDefault;
  size_t rows = kLinesDefault;
};

TerminalSize SizeOf(FILE* file) {
  winsize size = {};
  if (ioctl(fileno(file), TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    return TerminalSize();
  }
  return TerminalSize{size.ws_col, size.ws_row};
}

// State and, where something is wrong, why.
std::string StateAndReason(const Instance& instance) {
  const std::string state = StateText(instance);
  if (instance.observed().reason().empty()) return state;
  return absl::StrCat(state, ": ", Printable(instance.observed().reason()));
}

std::string Cut(const std::string& line, size_t width) {
  if (line.size() <= width) return line;
  size_t end = width;
  // Not in the middle of a character.
  while (end > 0 && (line[end] & 0xc0) == 0x80) --end;
  return line.substr(0, end);
}

}  // namespace

std::vector<std::string> ChangeLines(const EnvironmentView& before, const EnvironmentView& after,
                                     absl::Duration elapsed) {
  std::vector<std::string> lines;
  const auto add = [&](const Instance& instance, const std::string& state) {
    lines.push_back(absl::StrFormat("%8s  %s on %s: %s", ElapsedText(elapsed), instance.id(),
                                    instance.host(), state));
  };
  for (const Instance& instance : after.instances) {
    const Instance* old = before.Find(instance.id());
    const std::string state = StateAndReason(instance);
    if (old == nullptr || StateAndReason(*old) != state) add(instance, state);
  }
  for (const Instance& instance : before.instances) {
    if (after.Find(instance.id()) == nullptr) add(instance, "gone");
  }
  return lines;
}

std::vector<std::string> StatusLines(const EnvironmentView& view, const std::string& title,
                                     absl::Duration elapsed, size_t width) {
  std::vector<std::string> lines = {absl::StrCat(title, "  ", ElapsedText(elapsed))};
  if (view.rollout && view.rollout->phase() == scheduler::v1::ROLLOUT_PHASE_RUNNING &&
      !view.rollout->reason().empty()) {
    absl::StrAppend(&lines.front(), "  ", Printable(view.rollout->reason()));
  }
  size_t id_width = 0;
  size_t host_width = 0;
  for (const Instance& instance : view.instances) {
    id_width = std::max(id_width, instance.id().size());
    host_width = std::max(host_width, instance.host().size());
  }
  for (const Instance& instance : view.instances) {
    lines.push_back(absl::StrFormat("  %-*s  %-*s  release %d  %s", id_width, instance.id(),
                                    host_width, instance.host(), instance.release(),
                                    StateAndReason(instance)));
  }
  for (std::string& line : lines) line = Cut(line, width);
  return lines;
}

void Progress::Show(const EnvironmentView& view, absl::Duration elapsed) {
  if (style_ == Style::kLines) {
    for (const std::string& line : ChangeLines(shown_, view, elapsed)) {
      absl::FPrintF(file_, "%s\n", line);
    }
  }
  if (style_ == Style::kRedraw) {
    const TerminalSize size = SizeOf(file_);
    std::vector<std::string> lines = StatusLines(view, title_, elapsed, size.columns - 1);
    lines.resize(std::min(lines.size(), size.rows - 1));
    Wipe();
    for (const std::string& line : lines) absl::FPrintF(file_, "%s\n", line);
    lines_drawn_ = lines.size();
  }
  std::fflush(file_);
  shown_ = view;
}

void Progress::Wipe() {
  // Up to the first drawn line, then everything below is cleared.
  if (lines_drawn_ > 0) absl::FPrintF(file_, "\x1b[%dA\r\x1b[J", lines_drawn_);
  std::fflush(file_);
  lines_drawn_ = 0;
}

}  // namespace berth::cli
