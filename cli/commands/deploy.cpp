#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "berth/config/v1/config.pb.h"
#include "cli/commands/commands.h"
#include "cli/errors.h"
#include "cli/image_resolver.h"
#include "cli/rollout.h"
#include "cli/session.h"
#include "cli/wording.h"
#include "common/files/atomic_file.h"
#include "common/ids/names.h"
#include "common/manifest/manifest.h"

namespace berth::cli {
namespace {

constexpr char kManifestName[] = "berth.yaml";

struct DeployOptions {
  std::string path = ".";
  std::string image;
  WaitOptions wait;
};

struct ManifestFile {
  std::string path;
  std::string yaml;
  config::v1::Manifest manifest;
};

absl::StatusOr<ManifestFile> ReadManifest(const std::string& path) {
  ManifestFile file;
  file.path = path;
  if (std::filesystem::is_directory(path)) {
    file.path = (std::filesystem::path(path) / kManifestName).lexically_normal().string();
  }
  const absl::StatusOr<std::string> yaml = ReadFile(file.path, kManifestBytesMax);
  if (absl::IsNotFound(yaml.status())) {
    return WithAction(yaml.status(), "name a folder with a berth.yaml, or write one");
  }
  // Too large, or not a file: what is wrong is the manifest.
  if (absl::IsFailedPrecondition(yaml.status())) {
    return absl::InvalidArgumentError(yaml.status().message());
  }
  if (!yaml.ok()) return yaml.status();
  file.yaml = *yaml;
  BERTH_ASSIGN_OR_RETURN(file.manifest, ParseManifest(file.yaml, file.path));
  return file;
}

// The manifest's app and org go before those of the folder the command is run in, and must not
// contradict what the command line says.
absl::Status Contradicts(const TargetFlags& flags, const config::v1::Manifest& manifest) {
  if (!flags.app.empty() && flags.app != manifest.app()) {
    return UsageError(
        absl::StrCat("--app is ", flags.app, ", but the manifest's app is ", manifest.app()));
  }
  if (!flags.org.empty() && !manifest.org().empty() && flags.org != manifest.org()) {
    return UsageError(
        absl::StrCat("--org is ", flags.org, ", but the manifest's org is ", manifest.org()));
  }
  return absl::OkStatus();
}

absl::StatusOr<ExitCode> RunDeploy(const DeployOptions& options, Session* session) {
  BERTH_ASSIGN_OR_RETURN(const ManifestFile file, ReadManifest(options.path));
  BERTH_RETURN_IF_ERROR(Contradicts(session->line().global().target, file.manifest));
  BERTH_ASSIGN_OR_RETURN(const Target* const target, session->target());
  config::v1::DeployRequest request;
  request.set_org(file.manifest.org());
  if (request.org().empty()) {
    BERTH_ASSIGN_OR_RETURN(*request.mutable_org(), session->Org());
  }
  request.set_env(target->env);
  request.set_manifest_yaml(file.yaml);
  request.set_manifest_file(file.path);
  const std::string image = options.image.empty() ? file.manifest.image().ref() : options.image;
  BERTH_ASSIGN_OR_RETURN(const ResolvedImage resolved, ResolveImage(image, target->podman_socket));
  request.set_image(resolved.reference);
  request.set_image_is_local(resolved.is_local);

  BERTH_ASSIGN_OR_RETURN(const auto response, session->Call<config::v1::DeployResponse>(request));
  session->output().Say(absl::StrCat(response.unchanged() ? "unchanged: " : "deploying ",
                                     berth::ToString(response.environment()), " release ",
                                     response.release(), "  ", ShortImage(resolved.reference)));
  Json answer = ToJson(response);
  answer["image"] = resolved.reference;
  return FollowRollout({response.environment(), response.release(), response.promotion()},
                       options.wait, "Deploy", answer, session);
}

}  // namespace

Command DeployCommand() {
  const auto options = std::make_shared<DeployOptions>();
  return {.name = "deploy",
          .summary = "Deploy a folder with a berth.yaml and wait until it is live",
          .example = "berth deploy . -e staging",
          .declare =
              [options](Arguments* arguments) {
                arguments->Positional("PATH", &options->path,
                                      "a folder with a berth.yaml, or such a file; default: .");
                arguments->Option("--image", &options->image, "REF",
                                  "the image to run instead of the manifest's");
                options->wait.Declare(arguments);
              },
          .run = [options](Session* session) { return RunDeploy(*options, session); }};
}

}  // namespace berth::cli
