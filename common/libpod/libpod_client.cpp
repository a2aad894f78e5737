#include "common/libpod/libpod_client.h"

#include <httplib.h>
#include <sys/socket.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/clock/system_clock.h"
#include "common/libpod/json_fields.h"
#include "common/libpod/libpod_error.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

// The oldest API that Podman 4 and 5 both serve.
constexpr char kApi[] = "/v4.0.0/libpod";
// A socket of this machine takes a connection at once or not at all.
constexpr absl::Duration kConnectMax = absl::Seconds(5);
// How long a stream without a deadline may be silent; the library's waits have an end.
constexpr absl::Duration kSilenceMax = absl::Hours(24);
// What is kept of an answer that reports an error.
constexpr size_t kErrorBytesMax = size_t{64} << 10;

// 304 says that what was asked for is so already.
bool IsSuccess(int http_status) {
  return (http_status >= 200 && http_status < 300) || http_status == 304;
}

absl::Status ErrorOf(int http_status, const std::string& body) {
  const nlohmann::json answer = nlohmann::json::parse(body, nullptr, false);
  std::string message = StringOf(answer, "message");
  if (message.empty()) message = absl::StrCat("HTTP status ", http_status);
  return LibpodError(http_status, message);
}

struct Exchange {
  httplib::Error error = httplib::Error::Success;
  int http_status = 0;     // 0: there was no answer.
  std::string error_body;  // Of an answer that is no success.
};

Exchange Send(const std::string& socket_path, const LibpodRequest& request, absl::Duration silence,
              const std::stop_token& stop, const LibpodClient::StreamHandlers& handlers) {
  Exchange exchange;
  httplib::Client client(socket_path, 0);
  client.set_address_family(AF_UNIX);
  client.set_url_encode(false);  // It is already.
  client.set_connection_timeout(absl::ToChronoSeconds(kConnectMax));
  client.set_read_timeout(absl::ToChronoMicroseconds(silence));
  client.set_write_timeout(absl::ToChronoMicroseconds(silence));
  httplib::Request sent;
  sent.method = request.method;
  sent.path = absl::StrCat(kApi, request.path);
  sent.set_header("Host", "podman");
  if (request.method == "POST") sent.set_header("Content-Type", "application/json");
  sent.body = request.body;
  sent.response_handler = [&](const httplib::Response& response) {
    // Stopped before there was a connection that could be ended.
    if (stop.stop_requested()) return false;
    exchange.http_status = response.status;
    if (IsSuccess(response.status) && handlers.on_begin) handlers.on_begin();
    return true;
  };
  sent.content_receiver = [&](const char* data, size_t size, uint64_t, uint64_t) {
    if (IsSuccess(exchange.http_status)) return handlers.on_bytes({data, size});
    exchange.error_body.append(data, std::min(size, kErrorBytesMax - exchange.error_body.size()));
    return true;
  };
  const std::stop_callback end(stop, [&client] { client.stop(); });
  httplib::Response response;
  // One without a body does not come to the handler above.
  if (client.send(sent, response, exchange.error)) exchange.http_status = response.status;
  return exchange;
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
  const SystemClock clock;
  const absl::Duration silence = std::min(request.timeout, kSilenceMax);
  absl::Duration begin = clock.Monotonic();
  Exchange exchange = Send(socket_path_, request, silence, stop, handlers);
  if (exchange.error == httplib::Error::Connection && on_refused_) {
    BERTH_RETURN_IF_ERROR(on_refused_());
    begin = clock.Monotonic();
    exchange = Send(socket_path_, request, silence, stop, handlers);
  }
  // Canceled: `on_bytes` wanted no more.
  if (stop.stop_requested() || exchange.error == httplib::Error::Canceled) return absl::OkStatus();
  if (exchange.error == httplib::Error::Success) {
    return IsSuccess(exchange.http_status) ? absl::OkStatus()
                                           : ErrorOf(exchange.http_status, exchange.error_body);
  }
  // The library tells a broken connection and a silent one alike.
  if (exchange.error != httplib::Error::Connection && clock.Monotonic() - begin >= silence) {
    return absl::DeadlineExceededError(absl::StrCat("podman: ", request.method, " ", request.path,
                                                    ": no answer within ",
                                                    absl::FormatDuration(silence)));
  }
  return absl::UnavailableError(absl::StrCat("podman does not answer on ", socket_path_, ": ",
                                             httplib::to_string(exchange.error)));
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
