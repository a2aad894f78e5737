#include "absl/strings/str_cat.h"
#include "cli/commands/commands.h"
#include "cli/session.h"

namespace berth::cli {

Command VersionCommand() {
  return {.name = "version",
          .summary = "Print the version of this program",
          .example = "berth version",
          .declare = nullptr,
          .run = [](Session* session) -> absl::StatusOr<ExitCode> {
            session->output().Object("Version", {{"client", BERTH_VERSION}},
                                     absl::StrCat("berth ", BERTH_VERSION, "\n"));
            return ExitCode::kSuccess;
          }};
}

}  // namespace berth::cli
