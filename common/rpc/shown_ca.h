#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth::rpc {

// How long connecting and each step of the handshake may take.
inline constexpr absl::Duration kShownCaMax = absl::Seconds(5);

// Among the certificates that the server (HOST:PORT, or its copies with commas between them) shows,
// the one with this fingerprint, PEM: the platform CA, for whoever has nothing of the platform but
// a one-time token. Nothing is said to the server, and nothing it shows is trusted but for the
// fingerprint.
//
// kUnavailable: it cannot be reached; kFailedPrecondition: it shows no such certificate, so that it
// is not the platform that made the token, or somebody stands in between.
absl::StatusOr<std::string> ShownCa(const std::string& server, absl::string_view fingerprint);

}  // namespace berth::rpc
