#include "cli/context.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "cli/exit_code.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth::cli {
namespace {

using testing::TempDir;

Environment Variables(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

Config TwoContexts() {
  Config config;
  config.current = "local";
  config.contexts["local"] = {"127.0.0.1:7443", "/s/ca.pem", "", "home", "/s/podman.sock"};
  config.contexts["work"] = {"berth.example.com:7443", "", "PEM", "acme"};
  return config;
}

const Credentials kCredentials = {{"local", "berth_1_aa"}, {"work", "berth_2_bb"}};

TEST_CASE("each value comes from the first place that has it", "[cli][context]") {
  // Places are added from the weakest to the strongest.
  TargetFlags flags;
  std::map<std::string, std::string> variables;
  Project project;
  const auto target = [&] {
    const auto resolved =
        ResolveTarget(flags, Variables(variables), project, TwoContexts(), kCredentials);
    REQUIRE(resolved.ok());
    return *resolved;
  };
  CHECK(target().context == "local");
  CHECK(target().server == "127.0.0.1:7443");
  CHECK(target().ca_file == "/s/ca.pem");
  CHECK(target().token == "berth_1_aa");
  CHECK(target().org == "home");
  CHECK(target().app.empty());
  CHECK(target().env == "production");
  CHECK(target().podman_socket == "/s/podman.sock");

  project = {"notes", "club"};
  CHECK(target().org == "club");
  CHECK(target().app == "notes");

  variables = {{"BERTH_CONTEXT", "work"},
               {"BERTH_ORG", "lab"},
               {"BERTH_APP", "wiki"},
               {"BERTH_ENV", "staging"}};
  CHECK(target().context == "work");
  CHECK(target().ca_pem == "PEM");
  CHECK(target().ca_file.empty());
  CHECK(target().podman_socket.empty());
  CHECK(target().token == "berth_2_bb");
  CHECK(target().org == "lab");
  CHECK(target().app == "wiki");
  CHECK(target().env == "staging");

  flags = {"local", "team", "shop", "test"};
  CHECK(target().context == "local");
  CHECK(target().org == "team");
  CHECK(target().app == "shop");
  CHECK(target().env == "test");
}

TEST_CASE("variables alone say where to", "[cli][context]") {
  const auto target = ResolveTarget(
      {}, Variables({{"BERTH_SERVER", "b:1"}, {"BERTH_CA_FILE", "/ca"}, {"BERTH_TOKEN", "t"}}), {},
      {}, {});
  REQUIRE(target.ok());
  CHECK(target->server == "b:1");
  CHECK(target->ca_file == "/ca");
  CHECK(target->token == "t");
}

TEST_CASE("a context's token is not sent to another server", "[cli][context]") {
  const auto target = ResolveTarget({}, Variables({{"BERTH_SERVER", "elsewhere:1"}}), {},
                                    TwoContexts(), kCredentials);
  REQUIRE(target.ok());
  CHECK(target->server == "elsewhere:1");
  CHECK(target->token.empty());
}

TEST_CASE("a context that is not there is an error", "[cli][context]") {
  const auto unknown = ResolveTarget({"nowhere", "", "", ""}, Variables({}), {}, TwoContexts(), {});
  CHECK(ExitCodeFor(unknown.status()) == ExitCode::kNotFound);
  const auto none = ResolveTarget({}, Variables({}), {}, {}, {});
  CHECK(ExitCodeFor(none.status()) == ExitCode::kConflict);
}

TEST_CASE("the config file reads as it was written", "[cli][context]") {
  const std::string text = FormatConfig(TwoContexts());
  CHECK(text ==
        "current: \"local\"\n"
        "contexts:\n"
        "  \"local\":\n"
        "    server: \"127.0.0.1:7443\"\n"
        "    ca_file: \"/s/ca.pem\"\n"
        "    org: \"home\"\n"
        "    podman_socket: \"/s/podman.sock\"\n"
        "  \"work\":\n"
        "    server: \"berth.example.com:7443\"\n"
        "    ca_pem: \"PEM\"\n"
        "    org: \"acme\"\n");
  Config lines = TwoContexts();
  lines.contexts["work"].ca_pem = "-----BEGIN\nline \"2\"\n";
  const auto parsed = ParseConfig(FormatConfig(lines), "config.yaml");
  REQUIRE(parsed.ok());
  CHECK(FormatConfig(*parsed) == FormatConfig(lines));
  CHECK(ParseConfig("", "config.yaml").ok());
}

TEST_CASE("a wrong config file is refused with its place", "[cli][context]") {
  const auto parsed = ParseConfig("contexts:\n  local: {sever: a}\n", "config.yaml");
  CHECK(parsed.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(parsed.status().message()), Catch::Contains("config.yaml:2:"));
}

TEST_CASE("files are where the XDG rules put them", "[cli][context]") {
  CHECK(*ConfigFile(Variables({{"HOME", "/h"}})) == "/h/.config/berth/config.yaml");
  CHECK(*ConfigFile(Variables({{"HOME", "/h"}, {"XDG_CONFIG_HOME", "/c"}})) ==
        "/c/berth/config.yaml");
  CHECK(*ConfigFile(Variables({{"HOME", "/h"}, {"XDG_CONFIG_HOME", "relative"}})) ==
        "/h/.config/berth/config.yaml");
  CHECK(*CredentialsFile(Variables({{"HOME", "/h"}})) == "/h/.local/state/berth/credentials.json");
  CHECK_FALSE(ConfigFile(Variables({})).ok());
}

TEST_CASE("a person's files are kept, and tokens are for nobody else", "[cli][context]") {
  const TempDir folder;
  const Environment environment = Variables({{"HOME", folder.path()}});
  const auto none = LoadPersonalFiles(environment);
  REQUIRE(none.ok());
  CHECK(none->config.contexts.empty());
  CHECK(none->credentials.empty());

  REQUIRE(SavePersonalFiles(environment, {TwoContexts(), kCredentials}).ok());
  const auto files = LoadPersonalFiles(environment);
  REQUIRE(files.ok());
  CHECK(files->config.current == "local");
  CHECK(files->credentials == kCredentials);

  const std::string path = *CredentialsFile(environment);
  struct stat facts = {};
  REQUIRE(stat(path.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0600);
  chmod(path.c_str(), 0644);
  CHECK_FALSE(LoadPersonalFiles(environment).ok());
}

TEST_CASE("a credentials file that is none is refused", "[cli][context]") {
  const TempDir folder;
  const std::string path = folder.File("credentials.json");
  for (const std::string text : {"", "[]", "{\"tokens\": 3}", "{"}) {
    std::ofstream(path) << text;
    chmod(path.c_str(), 0600);
    CHECK(LoadCredentials(path).status().code() == absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("the folder's manifest says app and org", "[cli][context]") {
  const TempDir folder;
  const std::string path = folder.File("berth.yaml");
  const auto none = ReadProject(path);
  REQUIRE(none.ok());
  CHECK(none->app.empty());
  std::ofstream(path) << "schema: berth/v1\napp: notes\norg: acme\nprocesses: {}\n";
  const auto project = ReadProject(path);
  REQUIRE(project.ok());
  CHECK(project->app == "notes");
  CHECK(project->org == "acme");
  std::ofstream(path) << "app: [";
  CHECK(ReadProject(path).status().code() == absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace berth::cli
