#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "berth/auth/v1/auth.pb.h"
#include "cli/commands/commands.h"
#include "cli/errors.h"
#include "cli/session.h"
#include "cli/wording.h"
#include "common/clock/system_clock.h"
#include "common/time/timestamp.h"

namespace berth::cli {
namespace {

struct TokenOptions {
  std::string name;
  std::string role;
  absl::Duration expires = absl::Hours(24 * 30);
  std::string user;
};

// user/ada for ada; empty: the caller's own.
std::string Owner(const std::string& user) {
  return user.empty() ? "" : absl::StrCat("user/", user);
}

absl::StatusOr<ExitCode> RunTokenCreate(const TokenOptions& options, Session* session) {
  auth::v1::CreateTokenRequest request;
  request.set_name(options.name);
  if (options.expires != absl::Floor(options.expires, absl::Seconds(1))) {
    return UsageError("--expires takes whole seconds, such as 720h");
  }
  request.mutable_lifetime()->set_seconds(absl::ToInt64Seconds(options.expires));
  if (!options.role.empty()) {
    BERTH_ASSIGN_OR_RETURN(const auth::v1::Role role, ParseRole(options.role));
    request.set_role(role);
  }
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<auth::v1::CreateTokenResponse>(request));
  session->output().Say(
      absl::StrCat("shown once; it ends ",
                   absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", FromTimestamp(response.expire_time()),
                                    absl::UTCTimeZone()),
                   ". Use it as BERTH_TOKEN"));
  Json object = ToJson(response);
  object["name"] = options.name;
  session->output().Object("Token", object, absl::StrCat(response.token(), "\n"));
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunTokenList(const TokenOptions& options, Session* session) {
  auth::v1::ListTokensRequest request;
  request.set_principal(Owner(options.user));
  BERTH_ASSIGN_OR_RETURN(const auto response, session->Call<auth::v1::ListTokensResponse>(request));
  const absl::Time now = SystemClock().Now();
  Json items = Json::array();
  Table table = {{"ID", "NAME", "ROLE", "AGE", "ENDS IN", ""}, {}};
  for (const auth::v1::TokenSummary& token : response.tokens()) {
    items.push_back(ToJson(token));
    const absl::Duration left = FromTimestamp(token.expire_time()) - now;
    table.rows.push_back({token.id(), token.name().empty() ? "(session)" : token.name(),
                          RoleText(token.role()), AgeText(token.create_time(), now),
                          left <= absl::ZeroDuration() ? "over" : AgeText(left),
                          token.current() ? "this one" : ""});
  }
  session->output().List("TokenList", items, table, "There is no session and no token.");
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunTokenRevoke(const TokenOptions& options, Session* session) {
  auth::v1::RevokeTokenRequest request;
  request.set_token(options.name);
  request.set_principal(Owner(options.user));
  BERTH_RETURN_IF_ERROR(session->Call<auth::v1::RevokeTokenResponse>(request).status());
  session->output().Object("TokenRevoked", {{"token", options.name}},
                           absl::StrCat("The token ", options.name, " is dead.\n"));
  return ExitCode::kSuccess;
}

}  // namespace

std::vector<Command> TokenCommands() {
  const auto options = std::make_shared<TokenOptions>();
  const auto user = [options](Arguments* arguments) {
    arguments->Option("--user", &options->user, "PERSON",
                      "whose; default: yours. Others' are the platform's administrator's to see");
  };
  return {{.name = "token create",
           .summary = "Make a token for a program that acts as you, and print it",
           .example = "berth token create ci --role developer --expires 720h",
           .declare =
               [options](Arguments* arguments) {
                 arguments->RequiredPositional("NAME", &options->name, "what to call it");
                 arguments->Option("--role", &options->role, "ROLE",
                                   "at most this in each org: viewer, developer or admin");
                 arguments->Option("--expires", &options->expires, "DURATION",
                                   "when it ends, at most 8760h; default: 720h, which is 30 days");
               },
           .run = [options](Session* session) { return RunTokenCreate(*options, session); }},
          {.name = "token list",
           .summary = "List your sessions and tokens",
           .example = "berth token list",
           .declare = user,
           .run = [options](Session* session) { return RunTokenList(*options, session); }},
          {.name = "token revoke",
           .summary = "End a session or token at once",
           .example = "berth token revoke ci",
           .declare =
               [options, user](Arguments* arguments) {
                 arguments->RequiredPositional("TOKEN", &options->name, "its name or id");
                 user(arguments);
               },
           .run = [options](Session* session) { return RunTokenRevoke(*options, session); }}};
}

}  // namespace berth::cli
