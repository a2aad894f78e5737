#pragma once

#include <string>
#include <vector>

namespace berth::cli {

// What may follow a command's name on the command line.
struct CompletionNode {
  // The words that lead here, such as "berth release"; the first node's is "berth".
  std::string path;
  std::vector<std::string> words;
  // Options that take a value: the next word is that, and no command.
  std::vector<std::string> valued_options;
};

// A script that completes commands and options in bash, and files where values stand.
std::string BashCompletion(const std::vector<CompletionNode>& nodes);

}  // namespace berth::cli
