#include "cli/exec_input.h"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "common/sync/mutex.h"
#include "common/sync/notification.h"

namespace berth::cli {
namespace {

constexpr absl::Duration kWaitMax = absl::Seconds(30);

struct Pipe {
  Pipe() {
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    reading = UniqueFd(ends[0]);
    writing = UniqueFd(ends[1]);
  }
  UniqueFd reading;
  UniqueFd writing;
};

TEST_CASE("all that is read is sent in pieces, and the end", "[cli][exec]") {
  Pipe pipe;
  const std::string text(3 * ExecInput::kPieceBytesMax, 'x');
  std::string sent;
  bool small_enough = true;
  Notification ended;
  ThreadExecutor writer("writer");
  writer.Post([&] {
    size_t written = 0;
    while (written < text.size()) {
      const ssize_t count = write(pipe.writing.get(), text.data() + written, text.size() - written);
      if (count > 0) written += static_cast<size_t>(count);
    }
    pipe.writing.Reset();
  });
  ExecInput input(-1);
  input.Start(pipe.reading.get(), [&](const scheduler::v1::ExecInput& piece) {
    sent += piece.data();
    small_enough = small_enough && piece.data().size() <= ExecInput::kPieceBytesMax;
    if (piece.end()) ended.Notify();
    return absl::OkStatus();
  });
  REQUIRE(ended.WaitForNotificationWithTimeout(kWaitMax));
  CHECK(sent == text);
  CHECK(small_enough);
}

TEST_CASE("nothing is read any more once a piece was refused", "[cli][exec]") {
  Pipe pipe;
  Notification refused;
  ExecInput input(-1);
  input.Start(pipe.reading.get(), [&](const scheduler::v1::ExecInput&) {
    refused.Notify();
    return absl::NotFoundError("the command has ended");
  });
  REQUIRE(write(pipe.writing.get(), "x", 1) == 1);
  CHECK(refused.WaitForNotificationWithTimeout(kWaitMax));
}

TEST_CASE("whoever waits for input can be let go", "[cli][exec]") {
  Pipe pipe;
  ExecInput input(-1);
  input.Start(pipe.reading.get(), [](const scheduler::v1::ExecInput&) { return absl::OkStatus(); });
}

}  // namespace
}  // namespace berth::cli
