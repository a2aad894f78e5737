#include "agent/runtime/podman/log_frames.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/strip.h"

namespace berth {
namespace {

// "2026-01-02T03:04:05Z text" → its two parts; a line without a time keeps all its text.
LogLine ParseLine(absl::string_view line, LogLine::Source source) {
  LogLine parsed{absl::InfinitePast(), source, ""};
  const size_t space = line.find(' ');
  std::string ignored;
  if (space != absl::string_view::npos &&
      absl::ParseTime(absl::RFC3339_full, line.substr(0, space), &parsed.time, &ignored)) {
    line.remove_prefix(space + 1);
  }
  absl::ConsumeSuffix(&line, "\r");
  parsed.text = std::string(line);
  return parsed;
}

}  // namespace

bool LogFrames::Feed(absl::string_view bytes) {
  while (!bytes.empty()) {
    if (frame_bytes_left_ == 0) {
      header_[header_bytes_++] = bytes.front();
      bytes.remove_prefix(1);
      if (header_bytes_ < kHeaderBytes) continue;
      header_bytes_ = 0;
      stream_ = static_cast<unsigned char>(header_[0]);
      if (stream_ >= kStreams) return false;
      for (size_t i = 4; i < kHeaderBytes; ++i) {
        frame_bytes_left_ = frame_bytes_left_ << 8 | static_cast<unsigned char>(header_[i]);
      }
      continue;
    }
    absl::string_view text = bytes.substr(0, frame_bytes_left_);
    bytes.remove_prefix(text.size());
    frame_bytes_left_ -= text.size();
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      std::string& line = lines_[stream_];
      line.append(text.data(), std::min(end, kLogLineBytesMax - line.size()));
      if (end == text.size()) break;
      if (!Emit(stream_)) return false;
      text.remove_prefix(end + 1);
    }
  }
  return true;
}

void LogFrames::Finish() {
  for (size_t stream = 0; stream < kStreams; ++stream) {
    if (!lines_[stream].empty() && !Emit(stream)) return;
  }
}

bool LogFrames::Emit(size_t stream) {
  const LogLine::Source source = stream == 2 ? LogLine::Source::kError : LogLine::Source::kOutput;
  const bool wants_more = on_line_(ParseLine(lines_[stream], source));
  lines_[stream].clear();
  return wants_more;
}

}  // namespace berth
