#include "cli/context.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/commands/commands.h"
#include "cli/errors.h"
#include "cli/session.h"

namespace berth::cli {
namespace {

Json ContextJson(const std::string& name, const Context& context, const PersonalFiles& files) {
  return {{"name", name},
          {"current", name == files.config.current},
          {"server", context.server},
          {"caFile", context.ca_file},
          {"org", context.org},
          {"signedIn", files.credentials.contains(name)}};
}

absl::StatusOr<ExitCode> RunList(Session* session) {
  BERTH_ASSIGN_OR_RETURN(const PersonalFiles files, LoadPersonalFiles(ProcessEnvironment));
  Json items = Json::array();
  Table table = {{"CURRENT", "NAME", "SERVER", "ORG", "SIGNED IN"}, {}};
  for (const auto& [name, context] : files.config.contexts) {
    items.push_back(ContextJson(name, context, files));
    table.rows.push_back({name == files.config.current ? "*" : "", name, context.server,
                          context.org, files.credentials.contains(name) ? "yes" : "no"});
  }
  session->output().List("ContextList", items, table,
                         "There is no context. `berth up` and `berth login` make one.");
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunUse(const std::string& name, Session* session) {
  BERTH_ASSIGN_OR_RETURN(PersonalFiles files, LoadPersonalFiles(ProcessEnvironment));
  const auto context = files.config.contexts.find(name);
  if (context == files.config.contexts.end()) {
    return WithAction(absl::NotFoundError(absl::StrCat("there is no context ", name)),
                      "see which there are with `berth context list`");
  }
  files.config.current = name;
  BERTH_RETURN_IF_ERROR(SavePersonalFiles(ProcessEnvironment, files));
  session->output().Object("Context", ContextJson(name, context->second, files),
                           absl::StrCat("Commands go to ", name, " now.\n"));
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunShow(Session* session) {
  BERTH_ASSIGN_OR_RETURN(const Target* const target, session->target());
  session->output().Object(
      "Target",
      {{"context", target->context},
       {"server", target->server},
       {"caFile", target->ca_file},
       {"org", target->org},
       {"app", target->app},
       {"env", target->env},
       {"signedIn", !target->token.empty()}},
      absl::StrCat("context  ", target->context, "\nserver   ", target->server, "\nca       ",
                   target->ca_file.empty() ? "inline" : target->ca_file, "\norg      ", target->org,
                   "\napp      ", target->app, "\nenv      ", target->env, "\n"));
  return ExitCode::kSuccess;
}

}  // namespace

std::vector<Command> ContextCommands() {
  const auto name = std::make_shared<std::string>();
  return {{.name = "context list",
           .summary = "List the Berths you use",
           .example = "berth context list",
           .declare = nullptr,
           .run = RunList},
          {.name = "context show",
           .summary = "Show where a command goes, all options and variables counted",
           .example = "BERTH_ENV=staging berth context show",
           .declare = nullptr,
           .run = RunShow},
          {.name = "context use",
           .summary = "Make commands go to another context",
           .example = "berth context use local",
           .declare =
               [name](Arguments* arguments) {
                 arguments->RequiredPositional("NAME", name.get(), "the context");
               },
           .run = [name](Session* session) { return RunUse(*name, session); }}};
}

}  // namespace berth::cli
