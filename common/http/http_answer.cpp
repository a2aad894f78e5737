#include "common/http/http_answer.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

constexpr absl::string_view kVersions[] = {"HTTP/1.1 ", "HTTP/1.0 "};
constexpr size_t kStatusDigits = 3;
constexpr int kNoContent = 204;
constexpr int kNotModified = 304;

absl::Status Malformed(const char* what) { return absl::InvalidArgumentError(what); }

}  // namespace

absl::Status HttpAnswer::Take(absl::string_view bytes, std::string* body) {
  while (!bytes.empty() && state_ != State::kWhole) {
    if (state_ == State::kChunk || state_ >= State::kSized) {
      TakeBody(&bytes, body);
      continue;
    }
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    if (line_.size() + end > kHttpLineBytesMax) return Malformed("a line is too long");
    line_.append(bytes.data(), end);
    if (end == bytes.size()) return absl::OkStatus();
    bytes.remove_prefix(end + 1);
    // Some servers leave the carriage return out, which section 2.2 lets one read.
    BERTH_RETURN_IF_ERROR(TakeLine(absl::StripSuffix(line_, "\r")));
    line_.clear();
  }
  return absl::OkStatus();
}

absl::Status HttpAnswer::TakeLine(absl::string_view line) {
  switch (state_) {
    case State::kStatusLine:
      return TakeStatusLine(line);
    case State::kHeader:
      return TakeHeader(line);
    case State::kChunkSize:
      return TakeChunkSize(line);
    case State::kChunkEnd:
      if (!line.empty()) return Malformed("a chunk longer than its size");
      state_ = State::kChunkSize;
      return absl::OkStatus();
    case State::kTrailer:
      if (++lines_taken_ > kHttpLinesMax) return Malformed("too many lines");
      if (line.empty()) state_ = State::kWhole;
      return absl::OkStatus();
    case State::kChunk:
    case State::kSized:
    case State::kUntilEnd:
    case State::kWhole:
      break;
  }
  return absl::OkStatus();
}

absl::Status HttpAnswer::TakeStatusLine(absl::string_view line) {
  const bool is_known =
      absl::ConsumePrefix(&line, kVersions[0]) || absl::ConsumePrefix(&line, kVersions[1]);
  if (!is_known || !absl::SimpleAtoi(line.substr(0, kStatusDigits), &status_)) {
    return Malformed("no status line of HTTP/1");
  }
  state_ = State::kHeader;
  return absl::OkStatus();
}

absl::Status HttpAnswer::TakeHeader(absl::string_view line) {
  if (++lines_taken_ > kHttpLinesMax) return Malformed("too many lines");
  if (line.empty()) {
    state_ = AfterHead();
    return absl::OkStatus();
  }
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return Malformed("a header without a colon");
  const absl::string_view name = line.substr(0, colon);
  const absl::string_view value = absl::StripAsciiWhitespace(line.substr(colon + 1));
  if (absl::EqualsIgnoreCase(name, "transfer-encoding")) {
    chunked_ = absl::EqualsIgnoreCase(value, "chunked");
    if (!chunked_) return Malformed("an unknown transfer encoding");
  }
  if (absl::EqualsIgnoreCase(name, "content-length")) {
    sized_ = absl::SimpleAtoi(value, &bytes_left_);
    if (!sized_) return Malformed("a content length that is no number");
  }
  return absl::OkStatus();
}

HttpAnswer::State HttpAnswer::AfterHead() const {
  if (status_ == kNoContent || status_ == kNotModified) return State::kWhole;
  if (chunked_) return State::kChunkSize;
  if (!sized_) return State::kUntilEnd;
  return bytes_left_ == 0 ? State::kWhole : State::kSized;
}

absl::Status HttpAnswer::TakeChunkSize(absl::string_view line) {
  const absl::string_view size = absl::StripAsciiWhitespace(line.substr(0, line.find(';')));
  if (size.empty() || !absl::SimpleHexAtoi(size, &bytes_left_)) {
    return Malformed("a chunk size that is no number");
  }
  state_ = bytes_left_ == 0 ? State::kTrailer : State::kChunk;
  return absl::OkStatus();
}

void HttpAnswer::TakeBody(absl::string_view* bytes, std::string* body) {
  size_t taken = bytes->size();
  if (state_ != State::kUntilEnd) {
    taken = static_cast<size_t>(std::min<uint64_t>(taken, bytes_left_));
    bytes_left_ -= taken;
  }
  body->append(bytes->data(), taken);
  bytes->remove_prefix(taken);
  if (state_ == State::kUntilEnd || bytes_left_ > 0) return;
  state_ = state_ == State::kChunk ? State::kChunkEnd : State::kWhole;
}

}  // namespace berth
