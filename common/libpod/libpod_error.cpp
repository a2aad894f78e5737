#include "common/libpod/libpod_error.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace berth {
namespace {

// Podman tells most kinds of failure apart in words only.
struct KnownFailure {
  absl::string_view words;
  absl::StatusCode code;
  absl::string_view remedy;  // Empty where the words say it all.
};

constexpr KnownFailure kKnownFailures[] = {
    {"cgroups in hybrid mode not supported", absl::StatusCode::kFailedPrecondition,
     "crun does not run on this host's cgroups: install runc and set runtime=\"runc\" under "
     "[engine] in containers.conf"},
    {"setrlimit", absl::StatusCode::kFailedPrecondition,
     "Podman asks for more than this host's hard limits: set default_ulimits under [containers] in "
     "containers.conf, such as [\"nofile=20000:20000\",\"nproc=9000:9000\"]"},
    {"failed to find plugin", absl::StatusCode::kFailedPrecondition,
     "install netavark and set network_backend=\"netavark\" under [network] in containers.conf"},
    {"could not find \"netavark\"", absl::StatusCode::kFailedPrecondition, "install netavark"},
    // What netavark says without iptables.
    {"netavark: No such file or directory", absl::StatusCode::kFailedPrecondition,
     "install iptables"},
    {"command that was not found", absl::StatusCode::kInvalidArgument, ""},
    {"executable file not found", absl::StatusCode::kInvalidArgument, ""},
    {"OCI permission denied", absl::StatusCode::kInvalidArgument, ""},
    {"no matching entries in passwd file", absl::StatusCode::kInvalidArgument, ""},
    {"unable to find user", absl::StatusCode::kInvalidArgument, ""},
    {"no space left on device", absl::StatusCode::kResourceExhausted, "the host's disk is full"},
    {"cannot allocate memory", absl::StatusCode::kResourceExhausted, ""},
    {"too many open files", absl::StatusCode::kResourceExhausted, ""},
    {"already in use", absl::StatusCode::kAlreadyExists, ""},
    {"image not known", absl::StatusCode::kNotFound, ""},
    {"already allocated", absl::StatusCode::kFailedPrecondition,
     "another container of this host holds the address"},
    {"container state improper", absl::StatusCode::kFailedPrecondition, ""},
};

constexpr absl::string_view kNoSuchImage[] = {"manifest unknown", "name unknown",
                                              "not known",        "not found",
                                              "does not exist",   "statuscode: 404"};

constexpr absl::string_view kNotAllowed[] = {"unauthorized", "authentication required", "is denied",
                                             "denied:"};

absl::Status WithRemedy(absl::StatusCode code, absl::string_view message,
                        absl::string_view remedy) {
  if (remedy.empty()) return absl::Status(code, absl::StrCat("podman: ", message));
  return absl::Status(code, absl::StrCat(remedy, " (podman: ", message, ")"));
}

template <size_t N>
bool ContainsAny(absl::string_view text, const absl::string_view (&words)[N]) {
  const std::string lower = absl::AsciiStrToLower(text);
  for (absl::string_view word : words) {
    if (absl::StrContains(lower, word)) return true;
  }
  return false;
}

absl::StatusCode CodeOf(int http_status) {
  switch (http_status) {
    case 400:
      return absl::StatusCode::kInvalidArgument;
    case 404:
      return absl::StatusCode::kNotFound;
    case 409:
      return absl::StatusCode::kAborted;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

}  // namespace

absl::Status LibpodError(int http_status, absl::string_view message) {
  for (const KnownFailure& failure : kKnownFailures) {
    if (absl::StrContains(message, failure.words)) {
      return WithRemedy(failure.code, message, failure.remedy);
    }
  }
  return WithRemedy(CodeOf(http_status), message, "");
}

absl::Status PullError(absl::string_view image, absl::string_view message) {
  const std::string text = absl::StrCat("image ", image, ": ", message);
  // Podman repeats the image's name, which may hold any of the words.
  const absl::string_view repository = image.substr(0, image.find('@'));
  const std::string reason = absl::StrReplaceAll(message, {{image, ""}, {repository, ""}});
  if (absl::StrContains(reason, "no space left on device")) {
    return absl::ResourceExhaustedError(text);
  }
  if (ContainsAny(reason, kNotAllowed)) {
    return absl::PermissionDeniedError(
        absl::StrCat(text, " (if the registry wants a login: podman login, on the host)"));
  }
  if (ContainsAny(reason, kNoSuchImage)) return absl::NotFoundError(text);
  return absl::UnavailableError(text);
}

}  // namespace berth
