#pragma once

#include <vector>

#include "cli/command.h"

namespace berth::cli {

// Everything that `berth` does, in the order of its help.
std::vector<Command> AllCommands();
std::vector<Group> AllGroups();

// One for each file of this folder.
Command UpCommand();
Command DownCommand();
Command LoginCommand();
Command LogoutCommand();
Command WhoAmICommand();
std::vector<Command> OrgCommands();
std::vector<Command> MemberCommands();
std::vector<Command> TokenCommands();
std::vector<Command> ContextCommands();
Command DeployCommand();
Command StatusCommand();
Command WhyCommand();
Command EventsCommand();
Command StateCommand();
Command StateDiffCommand();
Command ExecCommand();
Command RestartCommand();
Command LogsCommand();
Command ScaleCommand();
Command RollbackCommand();
Command UndoCommand();
Command ReleaseListCommand();
Command AppListCommand();
std::vector<Command> EnvCommands();
std::vector<Command> HostCommands();
std::vector<Command> EdgeCommands();
std::vector<Command> JoinCommands();
// How hosts and edges become members, and cease to be.
std::vector<Command> HostMemberCommands();
std::vector<Command> EdgeMemberCommands();
std::vector<Command> SecretCommands();
std::vector<Command> RouteCommands();
std::vector<Command> ServerCommands();
Command DoctorCommand();
Command VersionCommand();
Command CompletionCommand();

}  // namespace berth::cli
