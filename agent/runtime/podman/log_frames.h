#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "agent/runtime/driver.h"

namespace berth {

// Takes a container's log apart as Podman sends it without a terminal: frames of an 8-byte header
// (stream 0, 1 or 2; three zeros; length of what follows, big-endian) and text, in any chunks. Each
// line begins with its time. Lines are cut at kLogLineBytesMax.
class LogFrames {
 public:
  // `on_line` says whether it wants more.
  explicit LogFrames(std::function<bool(const LogLine&)> on_line) : on_line_(std::move(on_line)) {}

  // False when `on_line` wants no more, or the bytes are no frames.
  bool Feed(absl::string_view bytes);

  // The log ended: gives the last lines although they have no line end.
  void Finish();

 private:
  static constexpr size_t kHeaderBytes = 8;
  // What a stream number may be, and what each has of a line that is not complete.
  static constexpr size_t kStreams = 3;

  bool Emit(size_t stream);

  std::function<bool(const LogLine&)> on_line_;
  std::array<char, kHeaderBytes> header_ = {};
  size_t header_bytes_ = 0;
  size_t frame_bytes_left_ = 0;
  size_t stream_ = 0;
  std::array<std::string, kStreams> lines_;
};

}  // namespace berth
