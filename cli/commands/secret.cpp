#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "cli/commands/commands.h"
#include "cli/confirm.h"
#include "cli/dotenv.h"
#include "cli/errors.h"
#include "cli/secret_input.h"
#include "cli/session.h"
#include "cli/wording.h"
#include "common/clock/system_clock.h"
#include "common/crypto/sealed_box.h"
#include "common/crypto/secret_bytes.h"
#include "common/ids/names.h"

namespace berth::cli {
namespace {

using types::v1::EnvironmentName;

constexpr char kStandardInput[] = "-";
constexpr size_t kDotenvBytesMax = size_t{1} << 20;

struct SetOptions {
  std::vector<std::string> words;
  std::string file;
  bool stage = false;
};

struct ImportOptions {
  std::string file;
  bool stage = false;
};

struct GetOptions {
  std::string name;
  uint32_t version = 0;
  bool reveal = false;
};

struct VersionsOptions {
  std::string name;
};

struct ActivateOptions {
  std::string name;
  std::string version;
};

struct DeleteOptions {
  std::string name;
  uint32_t version = 0;
  bool yes = false;
};

absl::Status CheckSecretName(const std::string& name) {
  const absl::Status status = CheckName("a secret", name);
  return status.ok() ? status : UsageError(std::string(status.message()));
}

// What becomes of what runs, after a version became the active one.
std::string Replacing() { return "instances that use it are being replaced"; }

// The values of all the names, before anything is sent: a mistake in the last one must not leave
// the others set.
absl::StatusOr<std::vector<NamedValue>> ReadValues(const SetOptions& options,
                                                   const Output& output) {
  std::vector<std::string> words = options.words;
  std::string source = options.file;
  if (words.size() > 1 && words.back() == kStandardInput) {
    if (!source.empty()) return UsageError("the value is either in a file or standard input");
    source = kStandardInput;
    words.pop_back();
  }
  if (!source.empty() && words.size() != 1) {
    return UsageError("a file or standard input is the value of one secret");
  }
  std::vector<NamedValue> values;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    NamedValue& secret = values.emplace_back();
    secret.name = word.substr(0, equals);
    BERTH_RETURN_IF_ERROR(CheckSecretName(secret.name));
    if (equals != std::string::npos) {
      if (!source.empty()) return UsageError("the value is either in a file or after the name");
      output.Say(absl::StrCat("warning: the value of ", secret.name,
                              " is in the shell's history, and others on this machine see it in "
                              "the list of processes; use - or --from-file"));
      secret.value = SecretBytes::CopyOf(absl::string_view(word).substr(equals + 1));
    } else if (!source.empty()) {
      BERTH_ASSIGN_OR_RETURN(secret.value, ReadSecretFromFile(source));
    } else if (IsTerminal(stdin) && IsTerminal(stderr)) {
      BERTH_ASSIGN_OR_RETURN(secret.value, AskForSecret(absl::StrCat("Value of ", secret.name,
                                                                     ", which is not shown: ")));
    } else {
      return WithAction(UsageError(absl::StrCat("what is the value of ", secret.name, "?")),
                        absl::StrCat("pass it on standard input: berth secret set ", secret.name,
                                     " -; or name its file with --from-file"));
    }
    const absl::string_view value = secret.value.view();
    if (!source.empty() && !value.empty() && value.find('\n') == value.size() - 1) {
      output.Say(absl::StrCat("note: the value of ", secret.name,
                              " ends with a line break, which is kept; printf '%s' writes none"));
    }
  }
  return values;
}

// Puts each value, sealed, and says what became of it.
absl::StatusOr<ExitCode> PutAll(std::vector<NamedValue> values, bool stage, Session* session) {
  BERTH_ASSIGN_OR_RETURN(const EnvironmentName environment, session->Environment());
  const Output& output = session->output();
  BERTH_ASSIGN_OR_RETURN(const auto key, session->Call<secrets::v1::GetSealingKeyResponse>(
                                             secrets::v1::GetSealingKeyRequest()));
  Json items = Json::array();
  for (NamedValue& secret : values) {
    secrets::v1::PutSecretRequest request;
    *request.mutable_environment() = environment;
    request.set_name(secret.name);
    BERTH_ASSIGN_OR_RETURN(*request.mutable_sealed_value(), Seal(key.key(), secret.value));
    secret.value = SecretBytes();
    request.set_activation(stage ? secrets::v1::ACTIVATION_LATER : secrets::v1::ACTIVATION_NOW);
    BERTH_ASSIGN_OR_RETURN(const auto response,
                           session->Call<secrets::v1::PutSecretResponse>(request));
    const bool active = response.active_version() == response.version();
    std::string what = absl::StrCat(secret.name, ": version ", response.version());
    if (response.unchanged()) absl::StrAppend(&what, " has this value already");
    absl::StrAppend(&what, response.unchanged() ? " and is " : " is ",
                    active ? "active" : "stored");
    if (!active) {
      absl::StrAppend(&what, "; version ", response.active_version(),
                      " stays active until: berth secret activate ", secret.name, " ",
                      response.version());
    } else if (!response.unchanged()) {
      absl::StrAppend(&what, "; ", Replacing());
    }
    output.Say(what);
    Json item = {{"name", secret.name}};
    item.update(ToJson(response));
    items.push_back(std::move(item));
  }
  if (output.json()) output.List("SecretSetList", items, {}, "");
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunSet(const SetOptions& options, Session* session) {
  BERTH_RETURN_IF_ERROR(LockDownMemory());
  BERTH_ASSIGN_OR_RETURN(std::vector<NamedValue> values, ReadValues(options, session->output()));
  return PutAll(std::move(values), options.stage, session);
}

absl::StatusOr<ExitCode> RunImport(const ImportOptions& options, Session* session) {
  BERTH_RETURN_IF_ERROR(LockDownMemory());
  BERTH_ASSIGN_OR_RETURN(const SecretBytes text, ReadSecretFromFile(options.file, kDotenvBytesMax));
  absl::StatusOr<std::vector<NamedValue>> values = ParseDotenv(text);
  if (!values.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(options.file, ", ", values.status().message()));
  }
  return PutAll(*std::move(values), options.stage, session);
}

absl::StatusOr<ExitCode> RunGet(const GetOptions& options, Session* session) {
  BERTH_RETURN_IF_ERROR(LockDownMemory());
  const Output& output = session->output();
  if (output.json()) return UsageError("a value is printed as it is; leave out -o json");
  if (IsTerminal(stdout) && !options.reveal) {
    return WithAction(UsageError("a terminal would show the value to whoever looks at it"),
                      "pass it on to a file or a program, or say --reveal");
  }
  BERTH_RETURN_IF_ERROR(CheckSecretName(options.name));
  const SealingKey reader = SealingKey::Generate();
  secrets::v1::GetSecretRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_environment(), session->Environment());
  request.set_name(options.name);
  request.set_version(options.version);
  request.set_reader_key(reader.public_key());
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<secrets::v1::GetSecretResponse>(request));
  BERTH_ASSIGN_OR_RETURN(const SecretBytes value, reader.Open(response.sealed_value()));
  BERTH_RETURN_IF_ERROR(WriteSecret(STDOUT_FILENO, value.view()));
  if (IsTerminal(stdout)) BERTH_RETURN_IF_ERROR(WriteSecret(STDOUT_FILENO, "\n"));
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunList(Session* session) {
  secrets::v1::ListSecretsRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_environment(), session->Environment());
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<secrets::v1::ListSecretsResponse>(request));
  const absl::Time now = SystemClock().Now();
  Json items = Json::array();
  Table table = {{"SECRET", "ACTIVE", "NEWEST", "VERSIONS", "AGE", "BY"}, {}};
  for (const secrets::v1::Secret& secret : response.secrets()) {
    items.push_back(ToJson(secret));
    table.rows.push_back({secret.name(), absl::StrCat(secret.active_version()),
                          absl::StrCat(secret.newest_version()), absl::StrCat(secret.versions()),
                          AgeText(secret.update_time(), now), secret.updated_by()});
  }
  session->output().List("SecretList", items, table,
                         absl::StrCat(berth::ToString(request.environment()), " has no secrets."));
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunVersions(const VersionsOptions& options, Session* session) {
  BERTH_RETURN_IF_ERROR(CheckSecretName(options.name));
  secrets::v1::ListSecretVersionsRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_environment(), session->Environment());
  request.set_name(options.name);
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<secrets::v1::ListSecretVersionsResponse>(request));
  const absl::Time now = SystemClock().Now();
  Json items = Json::array();
  Table table = {{"VERSION", "ACTIVE", "BYTES", "AGE", "BY"}, {}};
  for (const secrets::v1::SecretVersion& version : response.versions()) {
    items.push_back(ToJson(version));
    table.rows.push_back({absl::StrCat(version.version()), version.active() ? "*" : "",
                          absl::StrCat(version.size_bytes()), AgeText(version.create_time(), now),
                          version.created_by()});
  }
  session->output().List("SecretVersionList", items, table, "");
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunActivate(const ActivateOptions& options, Session* session) {
  BERTH_RETURN_IF_ERROR(CheckSecretName(options.name));
  secrets::v1::ActivateSecretRequest request;
  uint64_t version = 0;
  if (!absl::SimpleAtoi(options.version, &version) || version == 0) {
    return UsageError(absl::StrCat("\"", options.version, "\" is not a version, such as 2"));
  }
  BERTH_ASSIGN_OR_RETURN(*request.mutable_environment(), session->Environment());
  request.set_name(options.name);
  request.set_version(version);
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<secrets::v1::ActivateSecretResponse>(request));
  Json object = {{"name", options.name}, {"version", version}};
  object.update(ToJson(response));
  session->output().Object(
      "SecretActivate", object,
      absl::StrCat(
          options.name, ": version ", version,
          response.unchanged() ? " was active already" : absl::StrCat(" is active; ", Replacing()),
          "\n"));
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> RunDelete(const DeleteOptions& options, Session* session) {
  BERTH_RETURN_IF_ERROR(CheckSecretName(options.name));
  secrets::v1::DeleteSecretRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_environment(), session->Environment());
  request.set_name(options.name);
  request.set_version(options.version);
  const std::string what =
      options.version == 0 ? absl::StrCat("secret ", options.name, " with all its versions")
                           : absl::StrCat("version ", options.version, " of secret ", options.name);
  BERTH_RETURN_IF_ERROR(
      Confirm(absl::StrCat("Delete ", what, " from ", berth::ToString(request.environment()), "?"),
              options.name, options.yes));
  BERTH_ASSIGN_OR_RETURN(const auto response,
                         session->Call<secrets::v1::DeleteSecretResponse>(request));
  Json object = {{"name", options.name}};
  if (options.version != 0) object["version"] = options.version;
  object.update(ToJson(response));
  session->output().Object(
      "SecretDelete", object,
      absl::StrCat(response.unchanged() ? "there is no " : "deleted ", what, "\n"));
  return ExitCode::kSuccess;
}

Command SetCommand() {
  const auto options = std::make_shared<SetOptions>();
  return {.name = "secret set",
          .summary = "Give secrets a value, and replace the instances that use them",
          .example = "berth secret set database-url --from-file url.txt",
          .declare =
              [options](Arguments* arguments) {
                arguments->RequiredPositionals(
                    "NAME", &options->words,
                    "the secrets, asked for on a terminal; NAME - reads standard input");
                arguments->Option("--from-file", &options->file, "FILE",
                                  "where the value is, - for standard input");
                arguments->Flag("--stage", &options->stage,
                                "keep the new version until it is activated");
              },
          .run = [options](Session* session) { return RunSet(*options, session); }};
}

Command ImportCommand() {
  const auto options = std::make_shared<ImportOptions>();
  return {.name = "secret import",
          .summary = "Give secrets the values of a dotenv file",
          .example = "berth secret import .env",
          .declare =
              [options](Arguments* arguments) {
                arguments->RequiredPositional("FILE", &options->file,
                                              "lines of NAME=VALUE, - for standard input; "
                                              "DATABASE_URL becomes database-url");
                arguments->Flag("--stage", &options->stage,
                                "keep the new versions until they are activated");
              },
          .run = [options](Session* session) { return RunImport(*options, session); }};
}

Command GetCommand() {
  const auto options = std::make_shared<GetOptions>();
  return {.name = "secret get",
          .summary = "Print a value, as it is",
          .example = "berth secret get database-url --version 2",
          .declare =
              [options](Arguments* arguments) {
                arguments->RequiredPositional("NAME", &options->name, "the secret");
                arguments->Option("--version", &options->version, "N",
                                  "which version; default: the active one");
                arguments->Flag("--reveal", &options->reveal, "show it on a terminal");
              },
          .run = [options](Session* session) { return RunGet(*options, session); }};
}

Command VersionsCommand() {
  const auto options = std::make_shared<VersionsOptions>();
  return {.name = "secret versions",
          .summary = "List the versions of a secret, newest first",
          .example = "berth secret versions database-url",
          .declare =
              [options](Arguments* arguments) {
                arguments->RequiredPositional("NAME", &options->name, "the secret");
              },
          .run = [options](Session* session) { return RunVersions(*options, session); }};
}

Command ActivateCommand() {
  const auto options = std::make_shared<ActivateOptions>();
  return {.name = "secret activate",
          .summary = "Make a version the one that instances get, and replace those that use it",
          .example = "berth secret activate database-url 2",
          .declare =
              [options](Arguments* arguments) {
                arguments->RequiredPositional("NAME", &options->name, "the secret");
                arguments->RequiredPositional("VERSION", &options->version, "its version");
              },
          .run = [options](Session* session) { return RunActivate(*options, session); }};
}

Command DeleteCommand() {
  const auto options = std::make_shared<DeleteOptions>();
  return {.name = "secret delete",
          .summary = "Erase a secret, or one version of it",
          .example = "berth secret delete database-url --version 1 --yes",
          .declare =
              [options](Arguments* arguments) {
                arguments->RequiredPositional("NAME", &options->name, "the secret");
                arguments->Option("--version", &options->version, "N",
                                  "only this version; default: the secret with all versions");
                arguments->Flag("--yes", &options->yes, "do not ask");
              },
          .run = [options](Session* session) { return RunDelete(*options, session); }};
}

}  // namespace

std::vector<Command> SecretCommands() {
  return {SetCommand(),
          ImportCommand(),
          GetCommand(),
          {.name = "secret list",
           .summary = "List the secrets of an environment, without their values",
           .example = "berth secret list --app notes",
           .declare = nullptr,
           .run = RunList},
          VersionsCommand(),
          ActivateCommand(),
          DeleteCommand()};
}

}  // namespace berth::cli
