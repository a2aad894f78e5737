#include "absl/strings/str_cat.h"
#include "berth/auth/v1/auth.pb.h"
#include "cli/commands/commands.h"
#include "cli/session.h"
#include "cli/wording.h"

namespace berth::cli {
namespace {

absl::StatusOr<ExitCode> RunWhoAmI(Session* session) {
  BERTH_ASSIGN_OR_RETURN(const auto caller,
                         session->Call<auth::v1::WhoAmIResponse>(auth::v1::WhoAmIRequest()));
  BERTH_ASSIGN_OR_RETURN(const Target* const target, session->target());
  Json object = ToJson(caller);
  object["context"] = target->context;
  object["server"] = target->server;
  std::string text = absl::StrCat(caller.principal(), " on ", target->server, "\n");
  if (caller.platform_admin()) absl::StrAppend(&text, "  admin of the platform\n");
  for (const auth::v1::RoleBinding& binding : caller.bindings()) {
    absl::StrAppend(&text, "  ", RoleText(binding.role()), " in ", binding.org(), "\n");
  }
  session->output().Object("Principal", object, text);
  return ExitCode::kSuccess;
}

}  // namespace

Command WhoAmICommand() {
  return {.name = "whoami",
          .summary = "Say who you are signed in as, and with which roles",
          .example = "berth whoami",
          .declare = nullptr,
          .run = RunWhoAmI};
}

}  // namespace berth::cli
