#include "common/libpod/libpod_client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/http/http_exchange.h"
#include "common/libpod/json_fields.h"
#include "common/libpod/libpod_error.h"
#include "common/net/unique_fd.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

// The oldest API that Podman 4 and 5 both serve.
constexpr char kApi[] = "/v4.0.0/libpod";
// A socket of this machine takes a connection at once or not at all.
constexpr timeval kConnectMax = {.tv_sec = 5, .tv_usec = 0};
// What is kept of an answer that reports an error.
constexpr size_t kErrorBytesMax = size_t{64} << 10;

// 304 says that what was asked for is so already.
bool IsSuccess(int http_status) {
  return (http_status >= 200 && http_status < 300) || http_status == 304;
}

absl::Status NoAnswer(const std::string& socket_path, absl::string_view why) {
  return absl::UnavailableError(absl::StrCat("podman does not answer on ", socket_path, ": ", why));
}

absl::StatusOr<UniqueFd> Connect(const std::string& socket_path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof(address.sun_path)) {
    return NoAnswer(socket_path, std::strerror(ENAMETOOLONG));
  }
  socket_path.copy(address.sun_path, socket_path.size());
  UniqueFd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // How long connect waits for room in the queue.
  if (!socket_fd.valid() ||
      setsockopt(socket_fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kConnectMax, sizeof(kConnectMax)) !=
          0 ||
      connect(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return NoAnswer(socket_path, std::strerror(errno));
  }
  return socket_fd;
}

std::string TextOf(const LibpodRequest& request) {
  std::string text = absl::StrCat(request.method, " ", kApi, request.path,
                                  " HTTP/1.1\r\nHost: podman\r\nConnection: close\r\n");
  if (request.method == "POST") {
    absl::StrAppend(
        &text, "Content-Type: application/json\r\nContent-Length: ", request.body.size(), "\r\n");
  }
  absl::StrAppend(&text, "\r\n", request.body);
  return text;
}

absl::Status ErrorOf(int http_status, const std::string& body) {
  const nlohmann::json answer = nlohmann::json::parse(body, nullptr, false);
  std::string message = StringOf(answer, "message");
  if (message.empty()) message = absl::StrCat("HTTP status ", http_status);
  return LibpodError(http_status, message);
}

}  // namespace

absl::StatusOr<nlohmann::json> LibpodClient::Call(const LibpodRequest& request) {
  std::string answer;
  bool fits = true;
  const absl::Status status =
      Stream(request, std::stop_token(), {.on_bytes = [&](absl::string_view bytes) {
               fits = answer.size() + bytes.size() <= kLibpodAnswerBytesMax;
               if (fits) answer.append(bytes.data(), bytes.size());
               return fits;
             }});
  if (!status.ok()) return status;
  if (!fits) {
    return absl::UnavailableError(absl::StrCat(
        "podman's answer to ", request.path, " is larger than ", kLibpodAnswerBytesMax, " bytes"));
  }
  if (answer.empty()) return nlohmann::json();
  nlohmann::json parsed = nlohmann::json::parse(answer, nullptr, false);
  if (parsed.is_discarded()) {
    return absl::UnavailableError(absl::StrCat("podman's answer to ", request.path, " is no JSON"));
  }
  return parsed;
}

absl::Status LibpodClient::Stream(const LibpodRequest& request, std::stop_token stop,
                                  const StreamHandlers& handlers) {
  absl::StatusOr<UniqueFd> socket = Connect(socket_path_);
  if (!socket.ok() && on_refused_) {
    BERTH_RETURN_IF_ERROR(on_refused_());
    socket = Connect(socket_path_);
  }
  if (!socket.ok()) return socket.status();
  bool failed = false;
  int http_status = 0;
  std::string error;
  HttpAnswerHandlers taking;
  taking.on_head = [&](int status) {
    http_status = status;
    failed = !IsSuccess(status);
    if (!failed && handlers.on_begin) handlers.on_begin();
  };
  taking.on_bytes = [&](absl::string_view bytes) {
    if (!failed) return handlers.on_bytes(bytes);
    absl::StrAppend(&error, bytes.substr(0, kErrorBytesMax - error.size()));
    return true;
  };
  const absl::Status status =
      ExchangeHttp(socket->get(), TextOf(request), request.timeout, std::move(stop), taking);
  if (absl::IsDeadlineExceeded(status)) {
    return absl::DeadlineExceededError(
        absl::StrCat("podman: ", request.method, " ", request.path, ": ", status.message()));
  }
  if (!status.ok()) return NoAnswer(socket_path_, status.message());
  return failed ? ErrorOf(http_status, error) : absl::OkStatus();
}

std::string PercentEncode(absl::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || absl::string_view("-_.~").find(c) != absl::string_view::npos) {
      encoded += c;
    } else {
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return encoded;
}

}  // namespace berth
