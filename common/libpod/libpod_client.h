#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth {

// The longest a call waits for Podman's answer, and the most of an answer that is taken.
inline constexpr absl::Duration kLibpodCallMax = absl::Seconds(30);
inline constexpr size_t kLibpodAnswerBytesMax = size_t{16} << 20;

struct LibpodRequest {
  std::string method = "GET";
  std::string path;       // Below `/libpod`, with its query, percent-encoded.
  std::string body = "";  // JSON, or nothing.
  absl::Duration timeout = kLibpodCallMax;  // From one part of the answer to the next.
};

// Speaks Podman's REST API over its unix socket, one connection for each request: on a unix socket
// there is nothing to gain from keeping them. Safe to use from any thread.
//
// Errors: what LibpodError makes of Podman's answer; kUnavailable: nothing listens on the socket or
// the service went away; kDeadlineExceeded: it was silent for the timeout.
class LibpodClient {
 public:
  // `on_refused`, if given, is called when nothing listens on the socket; once it has returned OK
  // the request is sent again.
  explicit LibpodClient(std::string socket_path, std::function<absl::Status()> on_refused = nullptr)
      : socket_path_(std::move(socket_path)), on_refused_(std::move(on_refused)) {}

  // The answer's JSON; null where it has none.
  absl::StatusOr<nlohmann::json> Call(const LibpodRequest& request);

  struct StreamHandlers {
    std::function<void()> on_begin = nullptr;  // Podman took the request.
    // False ends the stream.
    std::function<bool(absl::string_view)> on_bytes;
  };

  // Gives an answer's bytes as they come, on this thread. OK when the stream ended or was ended by
  // `on_bytes` or `stop`.
  absl::Status Stream(const LibpodRequest& request, std::stop_token stop,
                      const StreamHandlers& handlers);

 private:
  const std::string socket_path_;
  const std::function<absl::Status()> on_refused_;
};

// `text` percent-encoded for a path or a query.
std::string PercentEncode(absl::string_view text);

}  // namespace berth
