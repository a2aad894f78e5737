#include "cli/log_printer.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "cli/json.h"

namespace berth::cli {
namespace {

// Cyan, green, yellow, magenta, blue: red is for errors.
constexpr std::array<int, 5> kColours = {36, 32, 33, 35, 34};

std::string StreamText(scheduler::v1::OutputStream stream) {
  switch (stream) {
    case scheduler::v1::OUTPUT_STREAM_STDOUT:
      return "stdout";
    case scheduler::v1::OUTPUT_STREAM_STDERR:
      return "stderr";
    default:
      return "";
  }
}

}  // namespace

std::string LogPrinter::Prefix(const std::string& instance) {
  if (!colour_) return absl::StrCat(instance, " | ");
  const size_t number = colours_.emplace(instance, colours_.size()).first->second;
  return absl::StrCat("\x1b[", kColours[number % kColours.size()], "m", instance, " |\x1b[0m ");
}

std::string LogPrinter::Render(const scheduler::v1::LogsResponse& line) {
  switch (style_) {
    case Style::kPlain:
      return absl::StrCat(line.line(), "\n");
    case Style::kPrefixed:
      return absl::StrCat(Prefix(line.instance()), line.line(), "\n");
    case Style::kJson:
      return Document("LogLine", {{"instance", line.instance()},
                                  {"stream", StreamText(line.stream())},
                                  {"line", line.line()}});
  }
  return "";
}

}  // namespace berth::cli
