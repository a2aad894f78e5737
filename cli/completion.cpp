#include "cli/completion.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace berth::cli {

std::string BashCompletion(const std::vector<CompletionNode>& nodes) {
  std::string words;
  std::string valued;
  std::string paths;
  for (const CompletionNode& node : nodes) {
    absl::StrAppend(&words, "    \"", node.path, "\") words=\"", absl::StrJoin(node.words, " "),
                    "\" ;;\n");
    for (const std::string& option : node.valued_options) {
      absl::StrAppend(&valued, "    \"", node.path, " ", option, "\") return ;;\n");
    }
    absl::StrAppend(&paths, "      \"", node.path, "\") path=$next ;;\n");
  }
  return absl::StrCat(
      "# bash completion for berth. Load it with: source <(berth completion bash)\n"
      "_berth() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
      "  local path=berth words= next index\n"
      "  for ((index = 1; index < COMP_CWORD; index++)); do\n"
      "    next=\"$path ${COMP_WORDS[index]}\"\n"
      "    case $next in\n",
      paths,
      "    esac\n"
      "  done\n"
      "  COMPREPLY=()\n"
      "  case \"$path $previous\" in\n",
      valued,
      "  esac\n"
      "  case $path in\n",
      words,
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "}\n"
      "complete -o default -F _berth berth\n");
}

}  // namespace berth::cli
