#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth {

// What an error answer of Podman means to a caller of Driver. `message` is Podman's own; where the
// host is known to lack something, what to do about it is added.
absl::Status LibpodError(int http_status, absl::string_view message);

// The same for a pull that failed: kNotFound, kPermissionDenied, or kUnavailable for the rest.
absl::Status PullError(absl::string_view image, absl::string_view message);

}  // namespace berth
