#include "cli/image_resolver.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/runtime/program.h"
#include "cli/errors.h"
#include "cli/https.h"
#include "cli/image_name.h"
#include "cli/json.h"
#include "common/libpod/json_fields.h"
#include "common/libpod/libpod_client.h"
#include "common/status/status_macros.h"

namespace berth::cli {
namespace {

constexpr char kManifestTypes[] =
    "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";
constexpr char kPrivateAction[] =
    "check its name; a private image can be pulled with podman and tagged localhost/NAME";
constexpr char kDigestHeader[] = "docker-content-digest";
constexpr absl::Duration kPodmanServiceMax = absl::Seconds(2);

absl::Status NoLocalImage(const std::string& reference, absl::string_view why) {
  return WithAction(absl::NotFoundError(
                        absl::StrCat("this machine's Podman has no image ", reference, ": ", why)),
                    absl::StrCat("build it with `podman build -t ", reference, " .`"));
}

absl::StatusOr<std::string> DigestByService(const std::string& reference,
                                            const std::string& podman_socket) {
  BERTH_ASSIGN_OR_RETURN(
      const nlohmann::json image,
      LibpodClient(podman_socket)
          .Call({.path = absl::StrCat("/images/", PercentEncode(reference), "/json"),
                 .timeout = kPodmanServiceMax}));
  const std::string digest = StringOf(image, "Digest");
  if (!IsDigest(digest)) return absl::UnavailableError("podman's service says no digest");
  return digest;
}

absl::StatusOr<std::string> DigestByProgram(const std::string& reference) {
  const absl::StatusOr<ProgramResult> result =
      RunProgram({"podman", "image", "inspect", "--format", "{{.Digest}}", reference}, {});
  if (absl::IsNotFound(result.status())) {
    return WithAction(absl::FailedPreconditionError(absl::StrCat(
                          reference, " is an image of this machine's Podman, which is not here")),
                      "install podman, or name an image of a registry");
  }
  if (!result.ok()) return result.status();
  // Podman's warnings may stand around it.
  for (absl::string_view line : absl::StrSplit(result->output, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (result->exit_code == 0 && IsDigest(line)) return std::string(line);
  }
  return NoLocalImage(reference, absl::StripAsciiWhitespace(result->output));
}

// By the service where one answers: the program takes longer to start than all else that happens
// before an agent acts.
absl::StatusOr<std::string> LocalDigest(const std::string& reference,
                                        const std::string& podman_socket) {
  if (!podman_socket.empty()) {
    const absl::StatusOr<std::string> digest = DigestByService(reference, podman_socket);
    if (digest.ok()) return digest;
    if (absl::IsNotFound(digest.status())) {
      return NoLocalImage(reference, digest.status().message());
    }
  }
  return DigestByProgram(reference);
}

// The registry's own host: Docker's is not where its name points to.
std::string HostOf(const ImageName& image) {
  return image.registry == "docker.io" ? "registry-1.docker.io" : image.registry;
}

absl::Status CannotAsk(const absl::Status& status) {
  return WithAction(status, "see whether this machine reaches it, or name the image by its digest");
}

absl::StatusOr<std::string> FetchToken(const BearerChallenge& challenge) {
  std::string url = absl::StrCat(challenge.realm, "?scope=", UrlEscape(challenge.scope));
  if (!challenge.service.empty()) absl::StrAppend(&url, "&service=", UrlEscape(challenge.service));
  const absl::StatusOr<HttpsResponse> response = HttpsGet(url, {});
  if (!response.ok()) return CannotAsk(response.status());
  const Json document = Json::parse(response->body, nullptr, false);
  for (const char* name : {"token", "access_token"}) {
    if (document.is_object() && document.contains(name) && document[name].is_string()) {
      return document[name].get<std::string>();
    }
  }
  return WithAction(absl::PermissionDeniedError(absl::StrCat(
                        challenge.realm, " gives out no token (HTTP ", response->code, ")")),
                    kPrivateAction);
}

absl::StatusOr<std::string> RegistryDigest(const ImageName& image) {
  const std::string url =
      absl::StrCat("https://", HostOf(image), "/v2/", image.repository, "/manifests/", image.tag);
  std::vector<std::string> headers = {kManifestTypes};
  absl::StatusOr<HttpsResponse> response = HttpsHead(url, headers);
  if (!response.ok()) return CannotAsk(response.status());
  if (response->code == 401) {
    const auto challenge = ParseBearerChallenge(response->headers["www-authenticate"]);
    if (challenge) {
      BERTH_ASSIGN_OR_RETURN(const std::string token, FetchToken(*challenge));
      headers.push_back(absl::StrCat("Authorization: Bearer ", token));
      response = HttpsHead(url, headers);
      if (!response.ok()) return CannotAsk(response.status());
    }
  }
  if (response->code == 401 || response->code == 403) {
    return WithAction(
        absl::PermissionDeniedError(absl::StrCat(image.registry, " has no public image ",
                                                 image.repository, ":", image.tag)),
        kPrivateAction);
  }
  if (response->code == 404) {
    return WithAction(absl::NotFoundError(absl::StrCat(image.registry, " has no image ",
                                                       image.repository, ":", image.tag)),
                      "check its name and tag");
  }
  if (response->code == 429) {
    return WithAction(
        absl::ResourceExhaustedError(absl::StrCat(image.registry, " takes no more questions now")),
        "try again later, or name the image by its digest");
  }
  if (response->code != 200 || !IsDigest(response->headers[kDigestHeader])) {
    return absl::UnavailableError(absl::StrCat(image.registry, " answers HTTP ", response->code,
                                               " without a digest for ", image.repository, ":",
                                               image.tag));
  }
  return response->headers[kDigestHeader];
}

}  // namespace

absl::StatusOr<ResolvedImage> ResolveImage(const std::string& reference,
                                           const std::string& podman_socket) {
  BERTH_ASSIGN_OR_RETURN(const ImageName image, ParseImageName(reference));
  ResolvedImage resolved;
  resolved.is_local = image.is_local();
  std::string digest = image.digest;
  if (digest.empty()) {
    BERTH_ASSIGN_OR_RETURN(
        digest, image.is_local() ? LocalDigest(reference, podman_socket) : RegistryDigest(image));
  }
  resolved.reference = image.WithDigest(digest);
  return resolved;
}

}  // namespace berth::cli
