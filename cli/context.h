#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::cli {

// A Berth that this person uses.
struct Context {
  std::string server;   // HOST:PORT, or several with commas between them.
  std::string ca_file;  // The platform CA, PEM; or
  std::string ca_pem;   // the same inline.
  std::string org;      // The org that commands are about unless they say otherwise.
  // Where the service of this machine's Podman listens, if that is known.
  std::string podman_socket = "";
};

// The person's config.yaml: contexts, and which of them commands use. Tokens are elsewhere.
struct Config {
  std::string current;  // Empty before the first sign-in.
  std::map<std::string, Context> contexts;
};

// kInvalidArgument: not such a file; the message names each mistake with its place.
absl::StatusOr<Config> ParseConfig(absl::string_view yaml, absl::string_view file_name);
std::string FormatConfig(const Config& config);

// What commands get from the environment: std::getenv in the program, a table in tests. Empty
// variables count as absent.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
std::optional<std::string> ProcessEnvironment(const std::string& name);

// Where a person's files are, by the XDG rules. kFailedPrecondition: neither HOME nor the XDG
// variable says where that would be.
absl::StatusOr<std::string> ConfigFile(const Environment& environment);       // config.yaml
absl::StatusOr<std::string> CredentialsFile(const Environment& environment);  // credentials.json
absl::StatusOr<std::string> StateHome(const Environment& environment);  // $XDG_STATE_HOME/berth

// Empty where there is no file yet.
absl::StatusOr<Config> LoadConfig(const std::string& path);
absl::Status SaveConfig(const std::string& path, const Config& config);

// Bearer tokens by context, in a file that only its owner may read.
using Credentials = std::map<std::string, std::string>;
absl::StatusOr<Credentials> LoadCredentials(const std::string& path);
absl::Status SaveCredentials(const std::string& path, const Credentials& credentials);

// Both files of a person.
struct PersonalFiles {
  Config config;
  Credentials credentials;
};
absl::StatusOr<PersonalFiles> LoadPersonalFiles(const Environment& environment);
absl::Status SavePersonalFiles(const Environment& environment, const PersonalFiles& files);

// What the folder a command is run in says: its berth.yaml's app and org. Empty without one.
struct Project {
  std::string app;
  std::string org;
};
absl::StatusOr<Project> ReadProject(const std::string& manifest_path);

// What the command line says about where to; empty: nothing.
struct TargetFlags {
  std::string context;
  std::string org;
  std::string app;
  std::string env;
};

// Where a command goes.
struct Target {
  std::string context;  // Its name; empty where the environment alone says everything.
  std::string server;
  std::string ca_file;
  std::string ca_pem;
  std::string token;  // Empty: not signed in.
  std::string org;
  std::string app;  // Empty: not known.
  std::string env;
  std::string podman_socket;  // Empty: not known.
};

inline constexpr char kDefaultEnvironment[] = "production";

// Each value from the first that has it: flag, BERTH_… variable, project, context, default.
// kNotFound: no context of that name; kFailedPrecondition: none at all.
absl::StatusOr<Target> ResolveTarget(const TargetFlags& flags, const Environment& environment,
                                     const Project& project, const Config& config,
                                     const Credentials& credentials);

}  // namespace berth::cli
