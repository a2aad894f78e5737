#include "cli/completion.h"

#include "cli/commands/commands.h"
#include "cli/session.h"

namespace berth::cli {

Command CompletionCommand() {
  return {.name = "completion bash",
          .summary = "Print what bash needs to complete command lines of berth",
          .example = "source <(berth completion bash)",
          .declare = nullptr,
          .run = [](Session* session) -> absl::StatusOr<ExitCode> {
            const std::string script = BashCompletion(session->line().CompletionNodes());
            session->output().Object("Completion", {{"script", script}}, script);
            return ExitCode::kSuccess;
          }};
}

}  // namespace berth::cli
