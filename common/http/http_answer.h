#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth {

// The most that one line of an answer may have, and the lines of its head and its trailer together.
inline constexpr size_t kHttpLineBytesMax = size_t{16} << 10;
inline constexpr int kHttpLinesMax = 100;

// The answer to one request of HTTP/1 other than HEAD, read from its bytes as they come (RFC 9112).
class HttpAnswer {
 public:
  // Takes the next bytes of the connection and appends what they hold of the body to `body`. What
  // follows a whole answer is left alone. kInvalidArgument: no such answer; take no more.
  absl::Status Take(absl::string_view bytes, std::string* body);

  // Whether all is there once the connection has ended, which is the end of a body without a size.
  bool IsWholeAtEnd() const { return state_ == State::kWhole || state_ == State::kUntilEnd; }
  bool IsWhole() const { return state_ == State::kWhole; }

  // The head was taken; `status` is 0 before.
  bool has_head() const { return state_ > State::kHeader; }
  int status() const { return status_; }

 private:
  // In the order they are gone through; what is a line comes through TakeLine.
  enum class State {
    kStatusLine,
    kHeader,
    kChunkSize,
    kChunk,
    kChunkEnd,
    kTrailer,
    kSized,
    kUntilEnd,
    kWhole,
  };

  absl::Status TakeLine(absl::string_view line);
  absl::Status TakeStatusLine(absl::string_view line);
  absl::Status TakeHeader(absl::string_view line);
  absl::Status TakeChunkSize(absl::string_view line);
  void TakeBody(absl::string_view* bytes, std::string* body);
  State AfterHead() const;

  State state_ = State::kStatusLine;
  std::string line_;  // What has come of a line.
  int lines_taken_ = 0;
  int status_ = 0;
  bool chunked_ = false;
  bool sized_ = false;
  uint64_t bytes_left_ = 0;  // Of the body, or of the chunk.
};

}  // namespace berth
