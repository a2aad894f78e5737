#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "berth/auth/v1/auth.pb.h"
#include "cli/commands/commands.h"
#include "cli/confirm.h"
#include "cli/errors.h"
#include "cli/session.h"
#include "common/crypto/machine_identity.h"

namespace berth::cli {
namespace {

// What hosts and edges have in common: how they join and go.
struct MachineCommands {
  auth::v1::MachineKind kind;
  std::string noun;  // host or edge.
};

struct MachineOptions {
  std::string name;
  std::string key;
  bool new_keys = false;
  bool yes = false;
};

absl::StatusOr<ExitCode> RunAdd(const MachineCommands& what, const MachineOptions& options,
                                Session* session) {
  auth::v1::CreateJoinTokenRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  request.set_kind(what.kind);
  request.set_name(options.name);
  request.set_new_keys(options.new_keys);
  const auto response = session->Call<auth::v1::CreateJoinTokenResponse>(request);
  if (absl::IsAlreadyExists(response.status())) {
    return WithAction(
        response.status(),
        absl::StrCat("if that machine lost its keys, say --new-keys; if it is gone, `berth ",
                     what.noun, " remove ", options.name, "` first"));
  }
  if (!response.ok()) return response.status();
  BERTH_ASSIGN_OR_RETURN(const Target* const target, session->target());
  const std::string command = absl::StrCat("berth ", what.noun, " join --server ", target->server,
                                           " --token ", response->join_token());
  Json object = ToJson(*response);
  object["name"] = options.name;
  object["command"] = command;
  std::string text = absl::StrCat("Within 24 hours, once, on the machine that becomes the ",
                                  what.noun, " ", options.name, ":\n\n  ", command, "\n\n");
  if (absl::StartsWith(target->server, "127.") || absl::StartsWith(target->server, "[::1]") ||
      absl::StartsWith(target->server, "localhost:")) {
    absl::StrAppend(&text, "Put the server's address there that the machine reaches it by: ",
                    target->server, " is the loopback.\n");
  }
  session->output().Object("JoinToken", object, text);
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunRemove(const MachineCommands& what, const MachineOptions& options,
                                   Session* session) {
  auth::v1::RemoveMachineRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  request.set_kind(what.kind);
  request.set_name(options.name);
  BERTH_RETURN_IF_ERROR(Confirm(
      absl::StrCat("Remove the ", what.noun, " ", options.name, " from ", request.org(), "?"),
      "yes", options.yes));
  BERTH_RETURN_IF_ERROR(session->Call<auth::v1::RemoveMachineResponse>(request).status());
  session->output().Object(
      "MachineRemoved", {{"kind", what.noun}, {"name", options.name}},
      absl::StrCat("The ", what.noun, " ", options.name,
                   " is no member any more. On that machine, `berth down --purge` takes away what "
                   "runs there still.\n"));
  return ExitCode::kSuccess;
}

absl::StatusOr<auth::v1::Machine> FindMachine(const MachineCommands& what, const std::string& name,
                                              Session* session) {
  auth::v1::ListMachinesRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<auth::v1::ListMachinesResponse>(request));
  for (const auth::v1::Machine& machine : response.machines()) {
    if (machine.kind() == what.kind && machine.name() == name) return machine;
  }
  return absl::NotFoundError(absl::StrCat(request.org(), " has no ", what.noun, " ", name));
}

absl::StatusOr<ExitCode> RunApprove(const MachineCommands& what, const MachineOptions& options,
                                    Session* session) {
  BERTH_ASSIGN_OR_RETURN(const auth::v1::Machine machine, FindMachine(what, options.name, session));
  const std::string claimed = KeyFingerprint(machine.keys().identity());
  Json object = {{"kind", what.noun}, {"name", machine.name()}, {"key", claimed}};
  if (machine.status() == auth::v1::MACHINE_STATUS_ACTIVE) {
    session->output().Object("MachineApproved", object,
                             absl::StrCat("The ", what.noun, " ", machine.name(), " has the key ",
                                          claimed, ", and nothing to approve.\n"));
    return ExitCode::kSuccess;
  }
  const std::string trusted = KeyFingerprint(machine.previous_identity());
  if (!options.key.empty() && options.key != claimed) {
    return WithAction(UsageError(absl::StrCat("the ", what.noun, " ", machine.name(),
                                              " claims the key ", claimed, ", not ", options.key)),
                      "look at the machine's log: it prints its key when it starts");
  }
  BERTH_RETURN_IF_ERROR(Confirm(
      absl::StrCat("The ", what.noun, " ", machine.name(), " had the key ", trusted, " and claims ",
                   claimed, ", which its log must show, too. Is it the same machine?"),
      "yes", options.yes || !options.key.empty()));
  auth::v1::ApproveMachineRequest request;
  request.set_org(machine.org());
  request.set_kind(machine.kind());
  request.set_name(machine.name());
  request.set_identity(machine.keys().identity());
  BERTH_RETURN_IF_ERROR(session->Call<auth::v1::ApproveMachineResponse>(request).status());
  object["previousKey"] = trusted;
  session->output().Object("MachineApproved", object,
                           absl::StrCat("The ", what.noun, " ", machine.name(),
                                        " is a member with the key ", claimed, ".\n"));
  return ExitCode::kSuccess;
}

std::vector<Command> CommandsOf(const MachineCommands& what) {
  const auto options = std::make_shared<MachineOptions>();
  const auto name = [options](Arguments* arguments) {
    arguments->RequiredPositional("NAME", &options->name, "its name");
  };
  const std::string a_noun = (what.noun == "edge" ? "an " : "a ") + what.noun;
  return {
      {.name = what.noun + " add",
       .summary = absl::StrCat("Let a machine join as ", a_noun, ", and print how"),
       .example = absl::StrCat("berth ", what.noun, " add alpha"),
       .declare =
           [options, name](Arguments* arguments) {
             name(arguments);
             arguments->Flag("--new-keys", &options->new_keys,
                             "it is a member that lost its keys; approve them afterwards");
           },
       .run = [what, options](Session* session) { return RunAdd(what, *options, session); }},
      {.name = what.noun + " remove",
       .summary = absl::StrCat("End the membership of ", a_noun, " at once"),
       .example = absl::StrCat("berth ", what.noun, " remove alpha --yes"),
       .declare =
           [options, name](Arguments* arguments) {
             name(arguments);
             arguments->Flag("--yes", &options->yes, "do not ask");
           },
       .run = [what, options](Session* session) { return RunRemove(what, *options, session); }},
      {.name = what.noun + " approve",
       .summary = absl::StrCat("Trust ", a_noun, " whose keys have changed"),
       .example = absl::StrCat("berth ", what.noun, " approve alpha"),
       .declare =
           [options, name](Arguments* arguments) {
             name(arguments);
             arguments->Option("--key", &options->key, "FINGERPRINT",
                               "the key it must claim; nothing is asked then");
             arguments->Flag("--yes", &options->yes, "do not ask, whatever the key is");
           },
       .run = [what, options](Session* session) { return RunApprove(what, *options, session); }}};
}

}  // namespace

std::vector<Command> HostMemberCommands() {
  return CommandsOf({auth::v1::MACHINE_KIND_HOST, "host"});
}

std::vector<Command> EdgeMemberCommands() {
  return CommandsOf({auth::v1::MACHINE_KIND_EDGE, "edge"});
}

}  // namespace berth::cli
