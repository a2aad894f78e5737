#include "agent/runtime/attached_program.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/executor/thread_executor.h"
#include "common/sync/notification.h"
#include "common/testing/printers.h"

namespace berth {
namespace {

using Catch::Contains;

ExecSpec WithInput() {
  ExecSpec spec;
  spec.input = true;
  return spec;
}

std::unique_ptr<ExecStream> Start(const std::string& script, const ExecSpec& spec = {}) {
  absl::StatusOr<std::unique_ptr<ExecStream>> started =
      AttachedProgram::Start({"sh", "-c", script}, spec, nullptr);
  REQUIRE(started.status() == absl::OkStatus());
  return *std::move(started);
}

struct Printed {
  std::string output;
  std::string error;
};

Printed ReadAll(ExecStream* stream) {
  Printed printed;
  while (const auto piece = stream->Read(1000)) {
    (piece->source == LogLine::Source::kError ? printed.error : printed.output) += piece->data;
  }
  return printed;
}

TEST_CASE("a program prints to two pipes and ends with its code", "[attached-program]") {
  const auto stream = Start("echo out; echo err >&2; exit 7");
  const Printed printed = ReadAll(stream.get());
  CHECK(printed.output == "out\n");
  CHECK(printed.error == "err\n");
  CHECK(stream->ExitCode() == 7);
}

TEST_CASE("a program reads what is written until the input ends", "[attached-program]") {
  const auto stream = Start("cat", WithInput());
  CHECK(stream->Write("one "));
  CHECK(stream->Write("two"));
  stream->EndInput();
  CHECK(ReadAll(stream.get()).output == "one two");
  CHECK(stream->ExitCode() == 0);
  CHECK_FALSE(stream->Write("three"));
}

TEST_CASE("a program without input reads nothing", "[attached-program]") {
  const auto stream = Start("cat");
  CHECK(ReadAll(stream.get()).output == "");
  CHECK(stream->ExitCode() == 0);
}

TEST_CASE("a program has a terminal of the size that was asked for", "[attached-program]") {
  ExecSpec spec;
  spec.terminal = TerminalSize{100, 30};
  spec.input = true;
  const auto stream = Start("stty size; read line; stty size; echo \"got $line\" >&2", spec);
  std::string output;
  while (output.find("30 100") == std::string::npos) {
    const auto piece = stream->Read(1000);
    REQUIRE(piece.has_value());
    output += piece->data;
  }
  stream->Resize({80, 25});
  CHECK(stream->Write("hello\n"));
  output += ReadAll(stream.get()).output;
  CHECK_THAT(output, Contains("25 80") && Contains("got hello"));
  CHECK(stream->ExitCode() == 0);
}

TEST_CASE("a terminal's program reads the end of its input", "[attached-program]") {
  ExecSpec spec;
  spec.terminal = TerminalSize();
  spec.input = true;
  const auto stream = Start("cat > /dev/null; echo ended", spec);
  stream->EndInput();
  CHECK_THAT(ReadAll(stream.get()).output, Contains("ended"));
}

TEST_CASE("a kill ends a program, and whoever reads or writes", "[attached-program]") {
  const auto stream = Start("exec sleep 1000", WithInput());
  Notification written;
  ThreadExecutor writer("write");
  writer.Post([&] {
    // More than a pipe holds.
    (void)stream->Write(std::string(1 << 20, 'x'));
    written.Notify();
  });
  Notification read;
  ThreadExecutor reader("read");
  reader.Post([&] {
    (void)stream->Read(1000);
    read.Notify();
  });
  stream->Kill();
  CHECK(written.WaitForNotificationWithTimeout(absl::Seconds(30)));
  CHECK(read.WaitForNotificationWithTimeout(absl::Seconds(30)));
  CHECK(stream->ExitCode() == 128 + 9);
}

TEST_CASE("what a program leaves behind does not keep its end from being told",
          "[attached-program]") {
  const auto stream = Start("sleep 1000 & echo $!");
  const std::string left = ReadAll(stream.get()).output;
  CHECK(stream->ExitCode() == 0);
  (void)std::system(absl::StrCat("kill ", left).c_str());
}

}  // namespace
}  // namespace berth
