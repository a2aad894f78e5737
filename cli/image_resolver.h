#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace berth::cli {

// What a release runs.
struct ResolvedImage {
  std::string reference;  // NAME@sha256:DIGEST.
  bool is_local = false;  // Only this machine's Podman has it.
};

// Finds the digest that the reference names now: a local image's from this machine's Podman, by its
// service where one answers on `podman_socket`; another's from its registry, over HTTPS and without
// signing in.
//
// kNotFound: there is no such image; the error says how to make a local one. kPermissionDenied: the
// registry shows it to nobody who has not signed in. kUnavailable: the registry cannot be reached.
// kFailedPrecondition: no Podman here.
absl::StatusOr<ResolvedImage> ResolveImage(const std::string& reference,
                                           const std::string& podman_socket);

}  // namespace berth::cli
