#include "cli/command_line.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "cli/commands/commands.h"
#include "cli/errors.h"
#include "cli/exit_code.h"
#include "common/testing/printers.h"

namespace berth::cli {
namespace {

// A small grammar, and what its words did.
struct Grammar {
  bool follow = false;
  uint32_t tail = 10;
  absl::Duration timeout = absl::Seconds(1);
  std::string reference;
  std::vector<std::string> counts;

  std::vector<Command> Commands() {
    return {{.name = "logs",
             .summary = "Show lines",
             .example = "berth logs -f",
             .declare =
                 [this](Arguments* arguments) {
                   arguments->Flag("-f,--follow", &follow, "go on");
                   arguments->Option("--tail", &tail, "N", "past lines");
                   arguments->Option("--timeout", &timeout, "TIME", "how long");
                   arguments->Positional("REF", &reference, "which");
                 },
             .run = nullptr},
            {.name = "scale",
             .summary = "Change counts",
             .example = "berth scale web=3",
             .declare =
                 [this](Arguments* arguments) {
                   arguments->RequiredPositionals("PROCESS=COUNT", &counts, "counts");
                 },
             .run = nullptr},
            {.name = "release list",
             .summary = "List releases",
             .example = "berth release list",
             .declare = nullptr,
             .run = nullptr}};
  }
};

std::string NameOf(const absl::StatusOr<CommandLine::Parsed>& parsed) {
  REQUIRE(parsed.ok());
  REQUIRE(std::holds_alternative<const Command*>(*parsed));
  return std::get<const Command*>(*parsed)->name;
}

TEST_CASE("options are understood before and after the command", "[cli][command-line]") {
  Grammar grammar;
  CommandLine line(grammar.Commands(), {});
  CHECK(NameOf(line.Parse({"-o", "json", "--org", "acme", "logs", "-f", "--tail", "3", "--timeout",
                           "1m30s", "-a", "notes", "web"})) == "logs");
  CHECK(grammar.follow);
  CHECK(grammar.tail == 3);
  CHECK(grammar.timeout == absl::Seconds(90));
  CHECK(grammar.reference == "web");
  CHECK(line.global().format == Format::kJson);
  CHECK(line.global().target.org == "acme");
  CHECK(line.global().target.app == "notes");
}

TEST_CASE("what the command line does not say keeps its default", "[cli][command-line]") {
  Grammar grammar;
  CommandLine line(grammar.Commands(), {});
  CHECK(NameOf(line.Parse({"logs"})) == "logs");
  CHECK_FALSE(grammar.follow);
  CHECK(grammar.tail == 10);
  CHECK(grammar.reference.empty());
  CHECK(line.global().format == Format::kTable);
}

TEST_CASE("an argument may have the name of a command", "[cli][command-line]") {
  Grammar grammar;
  CommandLine line(grammar.Commands(), {});
  CHECK(NameOf(line.Parse({"logs", "scale"})) == "logs");
  CHECK(grammar.reference == "scale");
}

TEST_CASE("a command's words may begin another's", "[cli][command-line]") {
  const auto parse = [](const std::string& words) {
    return NameOf(CommandLine(AllCommands(), AllGroups()).Parse(absl::StrSplit(words, ' ')));
  };
  CHECK(parse("state") == "state");
  CHECK(parse("state hello/staging --at 2h") == "state");
  CHECK(parse("state diff 2h now") == "state diff");
  CHECK(parse("state diff 2h config/42 hello") == "state diff");
  CommandLine line(AllCommands(), AllGroups());
  CHECK(std::string(line.Parse({"state", "--att", "2h"}).status().message()) ==
        "berth state: The following argument was not expected: --att");
}

TEST_CASE("a mistake is one line, with where help is", "[cli][command-line]") {
  struct Row {
    std::string words;
    std::string message;
    std::string action;
  };
  for (const Row& row : std::vector<Row>{
           {"lgos", "there is no `berth lgos`; did you mean logs?", "see `berth --help`"},
           {"frobnicate", "there is no `berth frobnicate`", "see `berth --help`"},
           {"release lst", "there is no `berth release lst`; did you mean list?",
            "see `berth release --help`"},
           {"release", "berth release needs one of list", "see `berth release --help`"},
           {"scale", "berth scale: PROCESS=COUNT is required", "see `berth scale --help`"},
           {"logs --follw", "berth logs: The following argument was not expected: --follw",
            "see `berth logs --help`"},
           {"logs --timeout 5", "berth logs: --timeout: \"5\" is not a time such as 90s or 5m",
            "see `berth logs --help`"},
           {"-o xml logs", "--output is table or json, not xml", "see `berth logs --help`"}}) {
    INFO(row.words);
    Grammar grammar;
    CommandLine line(grammar.Commands(), {{"release", "Look at releases"}});
    const auto parsed = line.Parse(absl::StrSplit(row.words, ' '));
    REQUIRE_FALSE(parsed.ok());
    CHECK(std::string(parsed.status().message()) == row.message);
    CHECK(ActionFor(parsed.status()) == row.action);
    CHECK(ExitCodeFor(parsed.status()) == ExitCode::kUsage);
  }
}

TEST_CASE("a mistake under -o json is to be said in JSON", "[cli][command-line]") {
  Grammar grammar;
  CommandLine line(grammar.Commands(), {});
  CHECK_FALSE(line.Parse({"-o", "json", "nothing"}).ok());
  CHECK(line.global().format == Format::kJson);
}

TEST_CASE("every command has help with an example and its options", "[cli][command-line]") {
  for (const Command& command : AllCommands()) {
    INFO(command.name);
    CommandLine line(AllCommands(), AllGroups());
    std::vector<std::string> words = absl::StrSplit(command.name, ' ');
    words.push_back("-h");
    const auto parsed = line.Parse(words);
    REQUIRE(parsed.ok());
    REQUIRE(std::holds_alternative<std::string>(*parsed));
    const std::string help = std::get<std::string>(*parsed);
    CHECK(absl::StartsWith(help, command.summary + ".\n"));
    CHECK(absl::StrContains(help, "Example:\n  " + command.example + "\n"));
    CHECK(absl::StrContains(help, "berth " + command.name));
    CHECK(absl::StrContains(help, "--output FORMAT"));
  }
}

TEST_CASE("the examples in help are command lines that are understood", "[cli][command-line]") {
  for (const Command& command : AllCommands()) {
    std::vector<std::string> words = absl::StrSplit(command.example, ' ');
    while (!words.empty() && words.front() != "berth" && words.front() != "<(berth") {
      words.erase(words.begin());
    }
    REQUIRE_FALSE(words.empty());
    words.erase(words.begin());
    if (words.back().back() == ')') words.back().pop_back();
    INFO(command.example);
    CommandLine line(AllCommands(), AllGroups());
    CHECK(NameOf(line.Parse(words)) == command.name);
  }
}

TEST_CASE("help of a command looks like this", "[cli][command-line]") {
  Grammar grammar;
  CommandLine line(grammar.Commands(), {});
  const auto parsed = line.Parse({"logs", "--help"});
  REQUIRE(parsed.ok());
  CHECK(std::get<std::string>(*parsed) ==
        "Show lines.\n"
        "\n"
        "Example:\n"
        "  berth logs -f\n"
        "\n"
        "Usage: berth logs [REF] [OPTIONS]\n"
        "\n"
        "Arguments:\n"
        "  REF                       which\n"
        "\n"
        "Options:\n"
        "  -f, --follow              go on\n"
        "  --tail N                  past lines\n"
        "  --timeout TIME            how long\n"
        "\n"
        "Global options:\n"
        "  -h, --help                print this help\n"
        "  --context NAME            the context to use\n"
        "  --org ORG                 the org\n"
        "  -a, --app APP             the app; default: that of ./berth.yaml\n"
        "  -e, --env ENV             the environment; default: production\n"
        "  -o, --output FORMAT       table or json\n"
        "  -q, --quiet               print results only\n"
        "  --no-color                print without colours\n");
}

TEST_CASE("completion knows what follows each command", "[cli][completion]") {
  Grammar grammar;
  const CommandLine line(grammar.Commands(), {});
  const std::vector<CompletionNode> nodes = line.CompletionNodes();
  std::map<std::string, CompletionNode> by_path;
  for (const CompletionNode& node : nodes) by_path[node.path] = node;
  REQUIRE(by_path.size() == 5);
  CHECK(std::vector<std::string>(by_path["berth"].words.begin(),
                                 by_path["berth"].words.begin() + 3) ==
        std::vector<std::string>{"logs", "scale", "release"});
  CHECK(by_path["berth release"].words.front() == "list");
  const std::vector<std::string>& logs = by_path["berth logs"].words;
  CHECK(std::count(logs.begin(), logs.end(), "--follow") == 1);
  const std::vector<std::string>& valued = by_path["berth logs"].valued_options;
  CHECK(std::count(valued.begin(), valued.end(), "--tail") == 1);
  CHECK(std::count(valued.begin(), valued.end(), "--follow") == 0);
}

TEST_CASE("the completion script is a case for each command", "[cli][completion]") {
  CHECK(BashCompletion({{"berth", {"logs", "-h"}, {}}, {"berth logs", {"--tail"}, {"--tail"}}}) ==
        "# bash completion for berth. Load it with: source <(berth completion bash)\n"
        "_berth() {\n"
        "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
        "  local path=berth words= next index\n"
        "  for ((index = 1; index < COMP_CWORD; index++)); do\n"
        "    next=\"$path ${COMP_WORDS[index]}\"\n"
        "    case $next in\n"
        "      \"berth\") path=$next ;;\n"
        "      \"berth logs\") path=$next ;;\n"
        "    esac\n"
        "  done\n"
        "  COMPREPLY=()\n"
        "  case \"$path $previous\" in\n"
        "    \"berth logs --tail\") return ;;\n"
        "  esac\n"
        "  case $path in\n"
        "    \"berth\") words=\"logs -h\" ;;\n"
        "    \"berth logs\") words=\"--tail\" ;;\n"
        "  esac\n"
        "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
        "}\n"
        "complete -o default -F _berth berth\n");
}

}  // namespace
}  // namespace berth::cli
