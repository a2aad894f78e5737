#include "cli/image_resolver.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/runtime/program.h"
#include "cli/errors.h"
#include "cli/image_name.h"
#include "common/libpod/json_fields.h"
#include "common/libpod/libpod_client.h"
#include "common/libpod/libpod_error.h"
#include "common/status/status_macros.h"

namespace berth::cli {
namespace {

constexpr absl::Duration kRegistryMax = absl::Seconds(60);
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

// What skopeo says went wrong: the message of its last log line, or all there is.
std::string MessageOf(absl::string_view output) {
  constexpr absl::string_view kMessage = "msg=\"";
  const size_t begin = output.rfind(kMessage);
  const size_t end = output.rfind('"');
  if (begin == absl::string_view::npos || end < begin + kMessage.size()) {
    return std::string(absl::StripAsciiWhitespace(output));
  }
  return absl::StrReplaceAll(output.substr(begin + kMessage.size(), end - begin - kMessage.size()),
                             {{"\\\"", "\""}});
}

// With the proxies, authorities, mirrors and logins that Podman has on this machine.
absl::StatusOr<std::string> RegistryDigest(const ImageName& image) {
  const std::string name = absl::StrCat(image.registry, "/", image.repository, ":", image.tag);
  const absl::StatusOr<ProgramResult> result =
      RunProgram({"skopeo", "inspect", "--no-tags", "--format", "{{.Digest}}",
                  absl::StrCat("docker://", name)},
                 {.timeout = kRegistryMax});
  if (absl::IsNotFound(result.status())) {
    return WithAction(
        absl::FailedPreconditionError("registries are asked with skopeo, which is not here"),
        "install skopeo, or name the image by its digest");
  }
  if (!result.ok()) return result.status();
  const absl::string_view output = absl::StripAsciiWhitespace(result->output);
  if (result->exit_code == 0 && IsDigest(output)) return std::string(output);
  const absl::Status refused = PullError(name, MessageOf(output));
  switch (refused.code()) {
    case absl::StatusCode::kNotFound:
      return WithAction(refused, "check its name and tag");
    case absl::StatusCode::kPermissionDenied:
      return WithAction(refused,
                        absl::StrCat("check its name; a private image takes `podman login ",
                                     image.registry, "`, here and on the hosts"));
    default:
      return WithAction(refused,
                        "see whether this machine reaches it, or name the image by its digest");
  }
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
