// The command `berth`: people's way to everything that Berth does.

#include <grpc/support/log.h>
#include <signal.h>

#include <cstdio>
#include <string>
#include <variant>
#include <vector>

#include "cli/command_line.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/session.h"
#include "common/log/log.h"
#include "common/rpc/server.h"

namespace berth::cli {
namespace {

ExitCode Fail(const CommandLine& line, const absl::Status& status) {
  const GlobalOptions& global = line.global();
  Output(global.format, global.quiet, global.no_colour).Error(status);
  return ExitCodeFor(status);
}

ExitCode Main(const std::vector<std::string>& words) {
  CommandLine line(AllCommands(), AllGroups());
  const absl::StatusOr<CommandLine::Parsed> parsed = line.Parse(words);
  if (!parsed.ok()) return Fail(line, parsed.status());
  if (const auto* text = std::get_if<std::string>(&*parsed)) {
    std::fputs(text->c_str(), stdout);
    return ExitCode::kSuccess;
  }
  Session session(&line);
  const absl::StatusOr<ExitCode> code = std::get<const Command*>(*parsed)->run(&session);
  return code.ok() ? *code : Fail(line, code.status());
}

}  // namespace
}  // namespace berth::cli

int main(int argc, char** argv) {
  // A reader that has seen enough, such as head, ends this program without a word.
  signal(SIGPIPE, SIG_DFL);
  berth::rpc::PrepareGrpc();
  // What a person should know of a connection is in the error; the libraries' own remarks would
  // stand in the middle of it.
  gpr_set_log_function([](gpr_log_func_args*) {});
  berth::SetLogLevel(berth::LogLevel::kError);
  auto code = static_cast<int>(berth::cli::Main(std::vector<std::string>(argv + 1, argv + argc)));
  // Results that did not get out whole, to a full disk say, are a failure.
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (!written && code == 0) {
    std::perror("error: standard output");
    code = static_cast<int>(berth::cli::ExitCode::kFailure);
  }
  return code;
}
