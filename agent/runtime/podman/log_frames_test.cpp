#include "agent/runtime/podman/log_frames.h"

#include <catch2/catch.hpp>
#include <vector>

#include "common/testing/printers.h"

namespace berth {
namespace {

std::string Frame(char stream, const std::string& text) {
  std::string frame(8, '\0');
  frame[0] = stream;
  frame[6] = static_cast<char>(text.size() >> 8);
  frame[7] = static_cast<char>(text.size());
  return frame + text;
}

std::vector<LogLine> LinesOf(const std::string& bytes, size_t chunk_bytes) {
  std::vector<LogLine> lines;
  LogFrames frames([&](const LogLine& line) {
    lines.push_back(line);
    return true;
  });
  for (size_t begin = 0; begin < bytes.size(); begin += chunk_bytes) {
    CHECK(frames.Feed(bytes.substr(begin, chunk_bytes)));
  }
  frames.Finish();
  return lines;
}

TEST_CASE("lines come out whole however the bytes are cut", "[agent][log-frames]") {
  const std::string bytes = Frame(1, "2026-11-21T00:33:17Z hello\n") +
                            Frame(2, "2026-11-21T00:33:18.5+01:00 no such ") +
                            Frame(1, "2026-11-21T00:33:19Z \n") + Frame(2, "file\r\n") +
                            Frame(1, "2026-11-21T00:33:20Z no line end");
  const size_t chunk_bytes = GENERATE(1, 3, 7, 8, 9, 1000);
  const std::vector<LogLine> lines = LinesOf(bytes, chunk_bytes);
  REQUIRE(lines.size() == 4);
  CHECK(lines[0].text == "hello");
  CHECK(lines[0].source == LogLine::Source::kOutput);
  CHECK(lines[0].time == absl::FromUnixSeconds(1795221197));
  CHECK(lines[1].text.empty());
  CHECK(lines[2].text == "no such file");
  CHECK(lines[2].source == LogLine::Source::kError);
  CHECK(lines[2].time == absl::FromUnixMillis(1795221198500) - absl::Hours(1));
  CHECK(lines[3].text == "no line end");
}

TEST_CASE("a line without a time keeps all its text", "[agent][log-frames]") {
  const std::vector<LogLine> lines = LinesOf(Frame(1, "plain text\n"), 1000);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].text == "plain text");
  CHECK(lines[0].time == absl::InfinitePast());
}

TEST_CASE("a line longer than the limit is cut and the next one is whole", "[agent][log-frames]") {
  std::string bytes;
  for (size_t i = 0; i < kLogLineBytesMax; i += 1000) bytes += Frame(1, std::string(1000, 'x'));
  bytes += Frame(1, "x\nnext line\n");
  const std::vector<LogLine> lines = LinesOf(bytes, 4096);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].text == std::string(kLogLineBytesMax, 'x'));
  CHECK(lines[1].text == "next line");
}

TEST_CASE("bytes that are no frames end the log", "[agent][log-frames]") {
  LogFrames frames([](const LogLine&) { return true; });
  CHECK_FALSE(frames.Feed("plain text without frames"));
}

TEST_CASE("a reader that wants no more gets no more", "[agent][log-frames]") {
  int lines = 0;
  LogFrames frames([&](const LogLine&) { return ++lines < 2; });
  CHECK_FALSE(frames.Feed(Frame(1, "a\nb\nc\n")));
  CHECK(lines == 2);
}

}  // namespace
}  // namespace berth
