#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "cli/errors.h"
#include "common/yaml/nearest_name.h"

namespace berth::cli {
namespace {

constexpr size_t kColumn = 26;
constexpr char kGlobalGroup[] = "Global options";
// Stands for "=" in the names that the library is told: its later versions refuse that, as they do
// every other character of ASCII that no placeholder has.
constexpr char kForEquals[] = "\u2261";

std::string NameOf(const std::string& placeholder) {
  return absl::StrReplaceAll(placeholder, {{"=", kForEquals}});
}

// In a name, or a text of the library's with names in it.
std::string Shown(const std::string& text) {
  return absl::StrReplaceAll(text, {{kForEquals, "="}});
}

class CliArguments : public Arguments {
 public:
  explicit CliArguments(CLI::App* app) : app_(app) {}

  void Flag(const std::string& names, bool* value, const std::string& description) override {
    app_->add_flag(names, *value, description);
  }
  void Option(const std::string& names, std::string* value, const std::string& placeholder,
              const std::string& description) override {
    app_->add_option(names, *value, description)->type_name(placeholder);
  }
  void Option(const std::string& names, uint32_t* value, const std::string& placeholder,
              const std::string& description) override {
    app_->add_option(names, *value, description)->type_name(placeholder);
  }
  void Option(const std::string& names, absl::Duration* value, const std::string& placeholder,
              const std::string& description) override {
    app_->add_option_function<std::string>(
            names,
            [names, value](const std::string& text) {
              absl::Duration duration;
              if (!absl::ParseDuration(text, &duration) || duration <= absl::ZeroDuration()) {
                throw CLI::ValidationError(
                    names, absl::StrCat("\"", text, "\" is not a time such as 90s or 5m"));
              }
              *value = duration;
            },
            description)
        ->type_name(placeholder);
  }
  void Positional(const std::string& placeholder, std::string* value,
                  const std::string& description) override {
    app_->add_option(NameOf(placeholder), *value, description);
  }
  void RequiredPositional(const std::string& placeholder, std::string* value,
                          const std::string& description) override {
    app_->add_option(NameOf(placeholder), *value, description)->required();
  }
  void Positionals(const std::string& placeholder, std::vector<std::string>* values,
                   const std::string& description) override {
    app_->add_option(NameOf(placeholder), *values, description)->expected(0, -1);
  }
  void RequiredPositionals(const std::string& placeholder, std::vector<std::string>* values,
                           const std::string& description) override {
    app_->add_option(NameOf(placeholder), *values, description)->required()->expected(1, -1);
  }

 private:
  CLI::App* const app_;
};

// The words that lead to an app, such as "berth release list".
std::string PathOf(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  return parent == nullptr ? app.get_name() : absl::StrCat(PathOf(*parent), " ", app.get_name());
}

std::vector<const CLI::App*> SubcommandsOf(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

std::vector<std::string> NamesOf(const std::vector<const CLI::App*>& apps) {
  std::vector<std::string> names;
  for (const CLI::App* app : apps) names.push_back(app->get_name());
  return names;
}

// The app that the words led to, as far as they were understood.
const CLI::App& Reached(const CLI::App& app) {
  const std::vector<CLI::App*> next = app.get_subcommands();
  return next.empty() ? app : Reached(*next.front());
}

std::string Row(const std::string& name, const std::string& description) {
  const size_t padding = name.size() + 2 < kColumn ? kColumn - name.size() : 2;
  return absl::StrCat("  ", name, std::string(padding, ' '), description, "\n");
}

std::string PlaceholderOf(const CLI::Option& option) {
  const std::string name = Shown(option.get_name(true));
  return option.get_required() ? name : absl::StrCat("[", name, "]");
}

class Help : public CLI::FormatterBase {
 public:
  // Summary, example, usage, and what may follow.
  std::string make_help(const CLI::App* app, std::string, CLI::AppFormatMode) const override {
    std::string text = absl::StrCat(app->get_description(), ".\n");
    if (!app->get_footer().empty())
      absl::StrAppend(&text, "\nExample:\n  ", app->get_footer(), "\n");
    absl::StrAppend(&text, "\nUsage: ", PathOf(*app));
    const std::vector<const CLI::App*> subcommands = SubcommandsOf(*app);
    if (!subcommands.empty()) {
      absl::StrAppend(&text, app->get_require_subcommand_min() > 0 ? " COMMAND" : " [COMMAND]");
    }
    std::string positionals;
    std::string own;
    std::string global;
    for (const CLI::Option* option : app->get_options()) {
      if (option->get_positional()) {
        absl::StrAppend(&text, " ", PlaceholderOf(*option),
                        option->get_expected_max() > 1 ? "…" : "");
        absl::StrAppend(&positionals,
                        Row(Shown(option->get_name(true)), option->get_description()));
        continue;
      }
      std::string name = absl::StrJoin(absl::StrSplit(option->get_name(false, true), ','), ", ");
      if (option->get_expected_max() > 0) absl::StrAppend(&name, " ", option->get_type_name());
      absl::StrAppend(option->get_group() == kGlobalGroup ? &global : &own,
                      Row(name, option->get_description()));
    }
    absl::StrAppend(&text, " [OPTIONS]\n");
    std::string commands;
    for (const CLI::App* subcommand : subcommands) {
      absl::StrAppend(&commands, Row(subcommand->get_name(), subcommand->get_description()));
    }
    for (const auto& [heading, rows] :
         {std::pair("Commands", &commands), std::pair("Arguments", &positionals),
          std::pair("Options", &own), std::pair(kGlobalGroup, &global)}) {
      if (!rows->empty()) absl::StrAppend(&text, "\n", heading, ":\n", *rows);
    }
    return text;
  }
};

void AddGlobalOptions(CLI::App* app, GlobalOptions* global, std::string* output_name) {
  const std::vector<CLI::Option*> options = {
      app->add_option("--context", global->target.context, "the context to use")->type_name("NAME"),
      app->add_option("--org", global->target.org, "the org")->type_name("ORG"),
      app->add_option("-a,--app", global->target.app, "the app; default: that of ./berth.yaml")
          ->type_name("APP"),
      app->add_option("-e,--env", global->target.env,
                      absl::StrCat("the environment; default: ", kDefaultEnvironment))
          ->type_name("ENV"),
      app->add_option("-o,--output", *output_name, "table or json")->type_name("FORMAT"),
      app->add_flag("-q,--quiet", global->quiet, "print results only"),
      app->add_flag("--no-color", global->no_colour, "print without colours"),
  };
  for (CLI::Option* option : options) option->group(kGlobalGroup);
}

void Prepare(CLI::App* app) {
  app->formatter(std::make_shared<Help>());
  app->set_help_flag("-h,--help", "print this help")->group(kGlobalGroup);
  app->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

}  // namespace

CommandLine::CommandLine(std::vector<Command> commands, const std::vector<Group>& groups)
    : commands_(std::move(commands)),
      output_name_(ProcessEnvironment("BERTH_OUTPUT").value_or("")),
      app_(std::make_unique<CLI::App>("Berth runs containers on your own machines", "berth")) {
  Prepare(app_.get());
  app_->footer("berth up && berth deploy .");
  AddGlobalOptions(app_.get(), &global_, &output_name_);
  // Without a limit the name of a command would be taken for a second command where it stands as an
  // argument.
  app_->require_subcommand(1);
  for (const Command& command : commands_) {
    CLI::App* const app = AppNamed(command.name);
    app->description(command.summary);
    app->footer(command.example);
    CliArguments arguments(app);
    if (command.declare != nullptr) command.declare(&arguments);
    AddGlobalOptions(app, &global_, &output_name_);
  }
  for (const Group& group : groups) {
    CLI::App* const app = AppNamed(group.name);
    app->description(group.summary);
    app->require_subcommand(1);
  }
}

CommandLine::~CommandLine() = default;

CLI::App* CommandLine::AppNamed(const std::string& name) {
  CLI::App* app = app_.get();
  for (const std::string& word : std::vector<std::string>(absl::StrSplit(name, ' '))) {
    const std::vector<CLI::App*> same =
        app->get_subcommands([&](const CLI::App* each) { return each->get_name() == word; });
    if (same.empty()) {
      app = app->add_subcommand(word);
      Prepare(app);
    } else {
      app = same.front();
    }
  }
  return app;
}

absl::Status CommandLine::Mistake(const std::string& what) const {
  const CLI::App& reached = Reached(*app_);
  return WithAction(UsageError(what), absl::StrCat("see `", PathOf(reached), " --help`"));
}

absl::StatusOr<CommandLine::Parsed> CommandLine::Parse(const std::vector<std::string>& words) {
  try {
    // CLI11 takes the words from the end.
    app_->parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::CallForHelp&) {
    return Reached(*app_).help();
  } catch (const CLI::ParseError& error) {
    if (output_name_ == "json") global_.format = Format::kJson;
    const CLI::App& reached = Reached(*app_);
    const std::vector<const CLI::App*> subcommands = SubcommandsOf(reached);
    // Words that are a command themselves need none of those that may follow.
    if (reached.get_require_subcommand_min() == 0) {
      return Mistake(absl::StrCat(PathOf(reached), ": ", Shown(error.what())));
    }
    const std::vector<std::string> names = NamesOf(subcommands);
    const std::vector<std::string> left = app_->remaining(true);
    if (left.empty()) {
      if (&reached == app_.get() && words.empty()) return app_->help();
      return Mistake(absl::StrCat(PathOf(reached), " needs one of ", absl::StrJoin(names, ", ")));
    }
    return Mistake(absl::StrCat("there is no `", PathOf(reached), " ", left.front(), "`",
                                yaml::DidYouMean(left.front(), names)));
  }
  if (output_name_ == "json") {
    global_.format = Format::kJson;
  } else if (!output_name_.empty() && output_name_ != "table") {
    return Mistake(absl::StrCat("--output is table or json, not ", output_name_));
  }
  const std::string path = PathOf(Reached(*app_));
  const auto command = std::find_if(commands_.begin(), commands_.end(), [&](const Command& each) {
    return absl::StrCat("berth ", each.name) == path;
  });
  return Parsed(&*command);
}

std::vector<CompletionNode> CommandLine::CompletionNodes() const {
  std::vector<CompletionNode> nodes;
  std::vector<const CLI::App*> waiting = {app_.get()};
  while (!waiting.empty()) {
    const CLI::App* const app = waiting.front();
    waiting.erase(waiting.begin());
    CompletionNode node = {PathOf(*app), NamesOf(SubcommandsOf(*app)), {}};
    for (const CLI::Option* option : app->get_options()) {
      if (option->get_positional()) continue;
      std::vector<std::string> names;
      for (const std::string& name : option->get_snames()) names.push_back("-" + name);
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      node.words.insert(node.words.end(), names.begin(), names.end());
      if (option->get_expected_max() > 0) {
        node.valued_options.insert(node.valued_options.end(), names.begin(), names.end());
      }
    }
    nodes.push_back(std::move(node));
    for (const CLI::App* next : SubcommandsOf(*app)) waiting.push_back(next);
  }
  return nodes;
}

}  // namespace berth::cli
