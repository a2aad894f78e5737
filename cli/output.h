#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "cli/json.h"

namespace berth::cli {

enum class Format { kTable, kJson };

// Rows under headings, for people.
struct Table {
  std::vector<std::string> headings;
  std::vector<std::vector<std::string>> rows;
};

// Columns as wide as their widest cell, two blanks between; the last one is not padded. Cells are
// made Printable. Ends with a line break.
std::string RenderTable(const Table& table);

// Whether colours may be used on a file: it is a terminal that knows them, and nobody said no
// (--no-color, NO_COLOR, TERM=dumb).
bool HasColour(FILE* file, bool refused);

// Whether `file` is a terminal.
bool IsTerminal(FILE* file);

// Where a command's results and remarks go: results to standard output in the format that was asked
// for, everything else to standard error.
class Output {
 public:
  Output(Format format, bool quiet, bool colour_refused)
      : format_(format), quiet_(quiet), colour_refused_(colour_refused) {}

  bool json() const { return format_ == Format::kJson; }
  bool quiet() const { return quiet_; }
  bool colour_refused() const { return colour_refused_; }

  // A list. An empty one is said to be so in words where people read.
  void List(absl::string_view kind, const Json& items, const Table& table,
            absl::string_view nothing) const;

  // One thing, with what people read of it, which ends with a line break.
  void Object(absl::string_view kind, const Json& object, absl::string_view text) const;

  // A remark for the person who waits; not under -q or -o json.
  void Say(absl::string_view line) const;

  void Error(const absl::Status& status) const;

 private:
  const Format format_;
  const bool quiet_;
  const bool colour_refused_;
};

}  // namespace berth::cli
