#include "absl/strings/str_cat.h"
#include "berth/auth/v1/auth.pb.h"
#include "cli/commands/commands.h"
#include "cli/session.h"

namespace berth::cli {
namespace {

absl::StatusOr<ExitCode> RunLogout(Session* session) {
  BERTH_ASSIGN_OR_RETURN(const Target* const target, session->target());
  const absl::Status status =
      session->Call<auth::v1::LogoutResponse>(auth::v1::LogoutRequest()).status();
  // A session that has ended already needs no end.
  if (!status.ok() && !absl::IsUnauthenticated(status)) return status;
  BERTH_ASSIGN_OR_RETURN(PersonalFiles files, LoadPersonalFiles(ProcessEnvironment));
  if (const auto token = files.credentials.find(target->context);
      token != files.credentials.end() && token->second == target->token) {
    files.credentials.erase(token);
    BERTH_RETURN_IF_ERROR(SavePersonalFiles(ProcessEnvironment, files));
  }
  session->output().Object("Logout", {{"context", target->context}, {"server", target->server}},
                           absl::StrCat("You are signed out of ", target->server, ".\n"));
  return ExitCode::kSuccess;
}

}  // namespace

Command LogoutCommand() {
  return {.name = "logout",
          .summary = "End your session on the server",
          .example = "berth logout",
          .declare = nullptr,
          .run = RunLogout};
}

}  // namespace berth::cli
