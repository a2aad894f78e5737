#include "cli/context.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "cli/errors.h"
#include "cli/json.h"
#include "common/crypto/secret_file.h"
#include "common/files/atomic_file.h"
#include "common/manifest/manifest.h"
#include "common/status/status_macros.h"
#include "common/yaml/strict_yaml.h"
#include "common/yaml/value.h"

namespace berth::cli {
namespace {

constexpr size_t kConfigBytesMax = 1 << 20;
constexpr size_t kCredentialsBytesMax = 1 << 20;
constexpr size_t kContextsMax = 1000;
constexpr mode_t kConfigMode = 0644;
constexpr mode_t kCredentialsMode = 0600;

// JSON's quoted texts are YAML's, too.
std::string Quoted(const std::string& text) { return Json(text).dump(); }

void Take(yaml::Fields* fields, absl::string_view name, std::string* setting) {
  const std::optional<yaml::Value> value = fields->Optional(name);
  if (!value) return;
  if (std::optional<std::string> text = value->Text()) *setting = *std::move(text);
}

Context ParseContext(const yaml::Value& value) {
  Context context;
  yaml::Fields fields(value);
  if (const auto server = fields.Required("server")) {
    context.server = server->Word("HOST:PORT").value_or("");
  }
  Take(&fields, "ca_file", &context.ca_file);
  Take(&fields, "ca_pem", &context.ca_pem);
  Take(&fields, "org", &context.org);
  Take(&fields, "podman_socket", &context.podman_socket);
  fields.RefuseUnknown();
  return context;
}

// A folder of a person's own, under the XDG variable or under the home folder.
absl::StatusOr<std::string> XdgFolder(const Environment& environment, const std::string& variable,
                                      absl::string_view under_home) {
  // A relative path is to be ignored, says the XDG Base Directory Specification.
  if (const auto base = environment(variable); base && base->starts_with('/')) {
    return absl::StrCat(*base, "/berth");
  }
  if (const auto home = environment("HOME")) return absl::StrCat(*home, "/", under_home, "/berth");
  return absl::FailedPreconditionError(
      absl::StrCat("neither HOME nor ", variable, " is set, so there is no place for files"));
}

absl::Status Save(const std::string& path, absl::string_view bytes, mode_t mode) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return absl::FailedPreconditionError(absl::StrCat(folder.string(), ": ", error.message()));
  }
  return WriteFileAtomically(path, bytes, mode);
}

// The first that is not empty.
std::string First(std::initializer_list<std::string> candidates) {
  for (const std::string& candidate : candidates) {
    if (!candidate.empty()) return candidate;
  }
  return "";
}

}  // namespace

absl::StatusOr<Config> ParseConfig(absl::string_view yaml_text, absl::string_view file_name) {
  Config config;
  yaml::Findings findings(file_name);
  const std::optional<yaml::Node> document =
      yaml::ParseStrict(yaml_text, kConfigBytesMax, &findings);
  if (document && document->kind != yaml::Node::Kind::kNull) {
    yaml::Fields fields(yaml::Value(*document, "", &findings));
    Take(&fields, "current", &config.current);
    if (const auto contexts = fields.Optional("contexts")) {
      for (const yaml::NamedValue& context : contexts->Entries(kContextsMax)) {
        config.contexts[context.name] = ParseContext(context.value);
      }
    }
    fields.RefuseUnknown();
  }
  BERTH_RETURN_IF_ERROR(findings.ToStatus());
  return config;
}

std::string FormatConfig(const Config& config) {
  std::string text = absl::StrCat("current: ", Quoted(config.current), "\n");
  if (!config.contexts.empty()) absl::StrAppend(&text, "contexts:\n");
  for (const auto& [name, context] : config.contexts) {
    absl::StrAppend(&text, "  ", Quoted(name), ":\n    server: ", Quoted(context.server), "\n");
    if (!context.ca_file.empty()) {
      absl::StrAppend(&text, "    ca_file: ", Quoted(context.ca_file), "\n");
    }
    if (!context.ca_pem.empty()) {
      absl::StrAppend(&text, "    ca_pem: ", Quoted(context.ca_pem), "\n");
    }
    if (!context.org.empty()) absl::StrAppend(&text, "    org: ", Quoted(context.org), "\n");
    if (!context.podman_socket.empty()) {
      absl::StrAppend(&text, "    podman_socket: ", Quoted(context.podman_socket), "\n");
    }
  }
  return text;
}

std::optional<std::string> ProcessEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

absl::StatusOr<std::string> ConfigFile(const Environment& environment) {
  BERTH_ASSIGN_OR_RETURN(const std::string folder,
                         XdgFolder(environment, "XDG_CONFIG_HOME", ".config"));
  return absl::StrCat(folder, "/config.yaml");
}

absl::StatusOr<std::string> CredentialsFile(const Environment& environment) {
  BERTH_ASSIGN_OR_RETURN(const std::string folder, StateHome(environment));
  return absl::StrCat(folder, "/credentials.json");
}

absl::StatusOr<std::string> StateHome(const Environment& environment) {
  return XdgFolder(environment, "XDG_STATE_HOME", ".local/state");
}

absl::StatusOr<Config> LoadConfig(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, kConfigBytesMax);
  if (absl::IsNotFound(text.status())) return Config();
  if (!text.ok()) return text.status();
  return ParseConfig(*text, path);
}

absl::Status SaveConfig(const std::string& path, const Config& config) {
  return Save(path, FormatConfig(config), kConfigMode);
}

absl::StatusOr<Credentials> LoadCredentials(const std::string& path) {
  const absl::StatusOr<SecretBytes> bytes = ReadSecretFile(path, kCredentialsBytesMax);
  if (absl::IsNotFound(bytes.status())) return Credentials();
  if (!bytes.ok()) return bytes.status();
  const absl::string_view text = bytes->view();
  const Json document = Json::parse(text.begin(), text.end(), nullptr, false);
  const auto tokens = document.is_object() ? document.find("tokens") : document.end();
  if (tokens == document.end() || !tokens->is_object()) {
    return WithAction(absl::InvalidArgumentError(absl::StrCat(path, " is not a credentials file")),
                      absl::StrCat("remove it and sign in again with `berth login`"));
  }
  Credentials credentials;
  for (const auto& [context, token] : tokens->items()) {
    if (token.is_string()) credentials[context] = token.get<std::string>();
  }
  return credentials;
}

absl::Status SaveCredentials(const std::string& path, const Credentials& credentials) {
  Json tokens = Json::object();
  for (const auto& [context, token] : credentials) tokens[context] = token;
  return Save(path, absl::StrCat(Json({{"tokens", tokens}}).dump(2), "\n"), kCredentialsMode);
}

absl::StatusOr<PersonalFiles> LoadPersonalFiles(const Environment& environment) {
  BERTH_ASSIGN_OR_RETURN(const std::string config_file, ConfigFile(environment));
  BERTH_ASSIGN_OR_RETURN(const std::string credentials_file, CredentialsFile(environment));
  PersonalFiles files;
  BERTH_ASSIGN_OR_RETURN(files.config, LoadConfig(config_file));
  BERTH_ASSIGN_OR_RETURN(files.credentials, LoadCredentials(credentials_file));
  return files;
}

absl::Status SavePersonalFiles(const Environment& environment, const PersonalFiles& files) {
  BERTH_ASSIGN_OR_RETURN(const std::string config_file, ConfigFile(environment));
  BERTH_ASSIGN_OR_RETURN(const std::string credentials_file, CredentialsFile(environment));
  BERTH_RETURN_IF_ERROR(SaveCredentials(credentials_file, files.credentials));
  return SaveConfig(config_file, files.config);
}

absl::StatusOr<Project> ReadProject(const std::string& manifest_path) {
  const absl::StatusOr<std::string> text = ReadFile(manifest_path, kManifestBytesMax);
  if (absl::IsNotFound(text.status())) return Project();
  if (!text.ok()) return text.status();
  yaml::Findings findings(manifest_path);
  const std::optional<yaml::Node> document = yaml::ParseStrict(*text, kManifestBytesMax, &findings);
  Project project;
  if (document) {
    yaml::Fields fields(yaml::Value(*document, "", &findings));
    Take(&fields, "app", &project.app);
    Take(&fields, "org", &project.org);
  }
  BERTH_RETURN_IF_ERROR(findings.ToStatus());
  return project;
}

absl::StatusOr<Target> ResolveTarget(const TargetFlags& flags, const Environment& environment,
                                     const Project& project, const Config& config,
                                     const Credentials& credentials) {
  const auto variable = [&](const std::string& name) { return environment(name).value_or(""); };
  Target target;
  target.context = First({flags.context, variable("BERTH_CONTEXT"), config.current});
  target.server = variable("BERTH_SERVER");
  target.ca_file = variable("BERTH_CA_FILE");
  target.token = variable("BERTH_TOKEN");

  Context context;
  if (const auto found = config.contexts.find(target.context); found != config.contexts.end()) {
    context = found->second;
  } else if (!target.context.empty()) {
    return WithAction(absl::NotFoundError(absl::StrCat("there is no context ", target.context)),
                      "see which there are with `berth context list`");
  } else if (target.server.empty() || target.ca_file.empty()) {
    return WithAction(
        absl::FailedPreconditionError("there is no context: this person uses no Berth yet"),
        "start one on this machine with `berth up`, or sign in to one with `berth login`");
  }

  // A token goes to the server it was given by and to no other.
  if (target.server.empty() && target.token.empty()) {
    if (const auto token = credentials.find(target.context); token != credentials.end()) {
      target.token = token->second;
    }
  }
  if (target.ca_file.empty()) {
    target.ca_file = context.ca_file;
    target.ca_pem = context.ca_pem;
  }
  target.server = First({target.server, context.server});
  target.podman_socket = context.podman_socket;
  target.org = First({flags.org, variable("BERTH_ORG"), project.org, context.org});
  target.app = First({flags.app, variable("BERTH_APP"), project.app});
  target.env = First({flags.env, variable("BERTH_ENV"), kDefaultEnvironment});
  return target;
}

}  // namespace berth::cli
