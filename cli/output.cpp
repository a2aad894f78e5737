#include "cli/output.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "cli/errors.h"
#include "cli/wording.h"

namespace berth::cli {
namespace {

// Characters, not bytes, so that names in other scripts line up. Wide ones count as one.
size_t Width(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
}

void AppendRow(const std::vector<std::string>& row, const std::vector<size_t>& widths,
               std::string* text) {
  std::string line;
  for (size_t column = 0; column < row.size(); ++column) {
    const std::string cell = Printable(row[column]);
    absl::StrAppend(&line, cell);
    if (column + 1 < row.size()) line.append(widths[column] - Width(cell) + 2, ' ');
  }
  line.erase(line.find_last_not_of(' ') + 1);
  absl::StrAppend(text, line, "\n");
}

void Write(absl::string_view text, FILE* file) {
  std::fwrite(text.data(), 1, text.size(), file);
  std::fflush(file);
}

}  // namespace

std::string RenderTable(const Table& table) {
  std::vector<size_t> widths;
  for (const std::string& heading : table.headings) widths.push_back(Width(heading));
  for (const std::vector<std::string>& row : table.rows) {
    for (size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], Width(row[column]));
    }
  }
  std::string text;
  AppendRow(table.headings, widths, &text);
  for (const std::vector<std::string>& row : table.rows) AppendRow(row, widths, &text);
  return text;
}

bool IsTerminal(FILE* file) { return isatty(fileno(file)) == 1; }

bool HasColour(FILE* file, bool refused) {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return !refused && (no_colour == nullptr || *no_colour == '\0') && terminal != nullptr &&
         absl::string_view(terminal) != "dumb" && IsTerminal(file);
}

void Output::List(absl::string_view kind, const Json& items, const Table& table,
                  absl::string_view nothing) const {
  if (json()) {
    Write(ListDocument(kind, items), stdout);
  } else if (table.rows.empty()) {
    Say(nothing);
  } else {
    Write(RenderTable(table), stdout);
  }
}

void Output::Object(absl::string_view kind, const Json& object, absl::string_view text) const {
  Write(json() ? Document(kind, object) : std::string(text), stdout);
}

void Output::Say(absl::string_view line) const {
  if (!quiet_ && !json()) Write(absl::StrCat(line, "\n"), stderr);
}

void Output::Error(const absl::Status& status) const {
  Write(json() ? ErrorDocument(status) : ErrorText(status), stderr);
}

}  // namespace berth::cli
