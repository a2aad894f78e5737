#include "cli/commands/commands.h"

#include <utility>

namespace berth::cli {

std::vector<Command> AllCommands() {
  std::vector<Command> commands = {
      UpCommand(),       DownCommand(),     DeployCommand(),      StatusCommand(),
      WhyCommand(),      ExecCommand(),     LogsCommand(),        ScaleCommand(),
      RestartCommand(),  RollbackCommand(), ReleaseListCommand(), AppListCommand(),
      HostListCommand(), LoginCommand(),    WhoAmICommand(),
  };
  for (Command& command : EnvCommands()) commands.push_back(std::move(command));
  for (Command& command : SecretCommands()) commands.push_back(std::move(command));
  for (Command& command : ContextCommands()) commands.push_back(std::move(command));
  commands.push_back(DoctorCommand());
  commands.push_back(VersionCommand());
  commands.push_back(CompletionCommand());
  return commands;
}

std::vector<Group> AllGroups() {
  return {{"release", "Look at the releases of an environment"},
          {"app", "Look at the apps of an org"},
          {"env", "Look at the environments of an org, and delete them"},
          {"host", "Look at the hosts of an org"},
          {"secret", "Set, read and activate the secrets of an environment"},
          {"context", "Choose which Berth commands go to"},
          {"completion", "Complete command lines in a shell"}};
}

}  // namespace berth::cli
