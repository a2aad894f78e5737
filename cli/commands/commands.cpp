#include "cli/commands/commands.h"

#include <utility>

namespace berth::cli {

std::vector<Command> AllCommands() {
  std::vector<Command> commands = {
      UpCommand(),      DownCommand(),    DeployCommand(),    StatusCommand(), WhyCommand(),
      EventsCommand(),  StateCommand(),   StateDiffCommand(), ExecCommand(),   LogsCommand(),
      ScaleCommand(),   RestartCommand(), RollbackCommand(),  UndoCommand(),   ReleaseListCommand(),
      AppListCommand(), LoginCommand(),   LogoutCommand(),    WhoAmICommand(),
  };
  for (std::vector<Command> more :
       {EnvCommands(), HostCommands(), HostMemberCommands(), EdgeCommands(), EdgeMemberCommands(),
        JoinCommands(), SecretCommands(), RouteCommands(), OrgCommands(), MemberCommands(),
        TokenCommands(), ContextCommands(), ServerCommands()}) {
    for (Command& command : more) commands.push_back(std::move(command));
  }
  commands.push_back(DoctorCommand());
  commands.push_back(VersionCommand());
  commands.push_back(CompletionCommand());
  return commands;
}

std::vector<Group> AllGroups() {
  return {{"release", "Look at the releases of an environment"},
          {"app", "Look at the apps of an org"},
          {"env", "Look at the environments of an org, and delete them"},
          {"host", "Look at the hosts of an org, and let machines join and go"},
          {"edge", "Look at the edges of an org, and let machines join and go"},
          {"secret", "Set, read and activate the secrets of an environment"},
          {"route", "Look at the routes of an org, and make standing ones"},
          {"org", "Make orgs, and look at yours"},
          {"org member", "Say who may do what in an org"},
          {"token", "Make tokens for programs, and end them"},
          {"context", "Choose which Berth commands go to"},
          {"server", "Verify, back up and restore the server"},
          {"completion", "Complete command lines in a shell"}};
}

}  // namespace berth::cli
