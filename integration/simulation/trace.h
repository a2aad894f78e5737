#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth::simulation {

// Everything that happened, as a hash that two runs of one seed must agree on, and the newest lines
// of it for people.
class Trace {
 public:
  static constexpr size_t kLinesMax = 60;

  // Something that is worth showing.
  void Say(absl::Duration at, absl::string_view who, absl::string_view what);

  // Something that counts for the hash only.
  void Mix(absl::string_view bytes);
  void Mix(uint64_t number);

  uint64_t hash() const { return hash_; }
  const std::deque<std::string>& lines() const { return lines_; }

  // Writes every line to stderr as it comes.
  void Show() { shown_ = true; }

 private:
  static constexpr uint64_t kOffsetBasis = 0xcbf29ce484222325;  // FNV-1a, 64 bits.

  uint64_t hash_ = kOffsetBasis;
  std::deque<std::string> lines_;
  bool shown_ = false;
};

}  // namespace berth::simulation
