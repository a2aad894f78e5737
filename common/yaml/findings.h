#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/status/error_details.h"

namespace berth::yaml {

// How many mistakes one error lists, and in how many bytes; the rest is only counted. An error
// travels in gRPC's trailers, which hold 8 KiB, and carries its text three times over.
inline constexpr size_t kFindingsMax = 20;
inline constexpr size_t kFindingsBytesMax = 1600;

// A place in a file, counted from 1. Columns count bytes.
struct Place {
  int line = 1;
  int column = 1;
};

// The mistakes found in one file.
class Findings {
 public:
  explicit Findings(absl::string_view file_name) : file_name_(file_name) {}

  // `path` leads to the field, such as processes.web.ports; empty: the file as a whole. `what` is
  // what is wrong, for people.
  void Add(Place place, absl::string_view path, absl::string_view what);

  bool empty() const { return count_ == 0; }

  // OK when nothing was found, else kInvalidArgument: the message lists the mistakes in the file's
  // order, a line each as FILE:LINE:COLUMN: PATH: WHAT, and each is a field violation.
  absl::Status ToStatus() const;

 private:
  struct Finding {
    Place place;
    std::string path;
    std::string text;
  };

  const std::string file_name_;
  std::vector<Finding> findings_;
  size_t bytes_ = 0;
  size_t count_ = 0;
};

// Text of the file as an error shows it: quoted, escaped and cut to 40 bytes.
std::string Quoted(absl::string_view text);

}  // namespace berth::yaml
