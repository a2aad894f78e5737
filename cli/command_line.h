#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/command.h"
#include "cli/completion.h"
#include "cli/context.h"
#include "cli/output.h"

namespace CLI {
class App;
}

namespace berth::cli {

// What every command takes.
struct GlobalOptions {
  TargetFlags target;
  Format format = Format::kTable;
  bool quiet = false;
  bool no_colour = false;
};

// The command line's grammar: the commands, their options, help, and what is said of mistakes. The
// only part that knows the library it is parsed with.
class CommandLine {
 public:
  // A text to be printed, or the command that was asked for.
  using Parsed = std::variant<std::string, const Command*>;

  CommandLine(std::vector<Command> commands, const std::vector<Group>& groups);
  ~CommandLine();

  // Fills in what the commands and the options declared. A usage error where the words make no
  // command, with the nearest one there is.
  absl::StatusOr<Parsed> Parse(const std::vector<std::string>& words);

  const GlobalOptions& global() const { return global_; }

  // Every command with what may follow it.
  std::vector<CompletionNode> CompletionNodes() const;

 private:
  CLI::App* AppNamed(const std::string& name);
  absl::Status Mistake(const std::string& what) const;

  std::vector<Command> commands_;
  GlobalOptions global_;
  std::string output_name_;
  std::unique_ptr<CLI::App> app_;
};

}  // namespace berth::cli
