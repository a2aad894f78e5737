#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "berth/auth/v1/auth.pb.h"
#include "cli/commands/commands.h"
#include "cli/confirm.h"
#include "cli/session.h"
#include "cli/wording.h"

namespace berth::cli {
namespace {

struct MemberOptions {
  std::string person;
  std::string role;
  bool yes = false;
};

// People write ada for user/ada.
std::string PrincipalNamed(const std::string& person) {
  return absl::StartsWith(person, "user/") ? person : absl::StrCat("user/", person);
}

// How the person signs in with the login token.
absl::StatusOr<std::string> LoginCommandFor(const std::string& login_token, Session* session) {
  BERTH_ASSIGN_OR_RETURN(const Target* const target, session->target());
  return absl::StrCat("berth login --server ", target->server, " --token ", login_token);
}

std::string LoginText(absl::string_view command) {
  return absl::StrCat("Within 24 hours, once, with:\n\n  ", command, "\n\n");
}

absl::StatusOr<ExitCode> RunMemberAdd(const MemberOptions& options, Session* session) {
  auth::v1::AddMemberRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  request.set_principal(PrincipalNamed(options.person));
  BERTH_ASSIGN_OR_RETURN(const auth::v1::Role role, ParseRole(options.role));
  request.set_role(role);
  BERTH_ASSIGN_OR_RETURN(const auto response, session->Call<auth::v1::AddMemberResponse>(request));
  Json object = ToJson(response);
  object["principal"] = request.principal();
  object["org"] = request.org();
  object["role"] = options.role;
  std::string text =
      absl::StrCat(request.principal(), " is ", options.role, " in ", request.org(), ".");
  if (response.login_token().empty()) {
    absl::StrAppend(&text, " They sign in as before.\n");
  } else {
    BERTH_ASSIGN_OR_RETURN(const std::string command,
                           LoginCommandFor(response.login_token(), session));
    object["command"] = command;
    absl::StrAppend(&text, " They sign in. ", LoginText(command));
  }
  session->output().Object("Member", object, text);
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunMemberInvite(const MemberOptions& options, Session* session) {
  auth::v1::CreateLoginTokenRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  request.set_principal(PrincipalNamed(options.person));
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<auth::v1::CreateLoginTokenResponse>(request));
  BERTH_ASSIGN_OR_RETURN(const std::string command,
                         LoginCommandFor(response.login_token(), session));
  Json object = ToJson(response);
  object["principal"] = request.principal();
  object["command"] = command;
  session->output().Object("LoginToken", object,
                           absl::StrCat(request.principal(), " signs in. ", LoginText(command)));
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunMemberSetRole(const MemberOptions& options, Session* session) {
  auth::v1::SetRoleRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  request.set_principal(PrincipalNamed(options.person));
  BERTH_ASSIGN_OR_RETURN(const auth::v1::Role role, ParseRole(options.role));
  request.set_role(role);
  BERTH_RETURN_IF_ERROR(session->Call<auth::v1::SetRoleResponse>(request).status());
  session->output().Object(
      "Member",
      {{"principal", request.principal()}, {"org", request.org()}, {"role", options.role}},
      absl::StrCat(request.principal(), " is ", options.role, " in ", request.org(), ".\n"));
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunMemberRemove(const MemberOptions& options, Session* session) {
  auth::v1::RemoveMemberRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  request.set_principal(PrincipalNamed(options.person));
  BERTH_RETURN_IF_ERROR(
      Confirm(absl::StrCat("Remove ", request.principal(), " from ", request.org(), "?"), "yes",
              options.yes));
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<auth::v1::RemoveMemberResponse>(request));
  Json object = ToJson(response);
  object["principal"] = request.principal();
  object["org"] = request.org();
  session->output().Object(
      "MemberRemoved", object,
      absl::StrCat(request.principal(), " has no role in ", request.org(), " any more",
                   response.gone() ? ", nor elsewhere: every token of theirs is dead" : "", ".\n"));
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunMemberList(Session* session) {
  auth::v1::ListMembersRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<auth::v1::ListMembersResponse>(request));
  Json items = Json::array();
  Table table = {{"PERSON", "ROLE", "REMARKS"}, {}};
  for (const auth::v1::Member& member : response.members()) {
    items.push_back(ToJson(member));
    table.rows.push_back({member.principal(), RoleText(member.role()),
                          member.platform_admin() ? "administers the platform"
                          : member.invited()      ? "has a login token to use"
                                                  : ""});
  }
  session->output().List("MemberList", items, table,
                         absl::StrCat(request.org(), " has no member."));
  return ExitCode::kSuccess;
}

}  // namespace

std::vector<Command> MemberCommands() {
  const auto options = std::make_shared<MemberOptions>();
  const auto person = [options](Arguments* arguments) {
    arguments->RequiredPositional("PERSON", &options->person, "whom, such as ada");
  };
  return {{.name = "org member list",
           .summary = "List the people of an org",
           .example = "berth org member list",
           .declare = nullptr,
           .run = RunMemberList},
          {.name = "org member add",
           .summary = "Give a person a role in an org, and a way to sign in to who is new",
           .example = "berth org member add ada --role developer",
           .declare =
               [options, person](Arguments* arguments) {
                 options->role = "developer";
                 person(arguments);
                 arguments->Option("--role", &options->role, "ROLE",
                                   "viewer, developer or admin; default: developer");
               },
           .run = [options](Session* session) { return RunMemberAdd(*options, session); }},
          {.name = "org member invite",
           .summary = "Make another login token for a member who cannot sign in",
           .example = "berth org member invite ada",
           .declare = person,
           .run = [options](Session* session) { return RunMemberInvite(*options, session); }},
          {.name = "org member set-role",
           .summary = "Change a member's role",
           .example = "berth org member set-role ada viewer",
           .declare =
               [options, person](Arguments* arguments) {
                 person(arguments);
                 arguments->RequiredPositional("ROLE", &options->role,
                                               "viewer, developer or admin");
               },
           .run = [options](Session* session) { return RunMemberSetRole(*options, session); }},
          {.name = "org member remove",
           .summary = "Take a person's role in an org away",
           .example = "berth org member remove ada --yes",
           .declare =
               [options, person](Arguments* arguments) {
                 person(arguments);
                 arguments->Flag("--yes", &options->yes, "do not ask");
               },
           .run = [options](Session* session) { return RunMemberRemove(*options, session); }}};
}

}  // namespace berth::cli
