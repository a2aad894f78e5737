#include "agent/runtime/podman/libpod_client.h"

#include <curl/curl.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/runtime/podman/json_fields.h"
#include "agent/runtime/podman/libpod_error.h"
#include "common/check/check.h"

namespace berth {
namespace {

// The oldest API that Podman 4 and 5 both serve. The host name is only there to make a URL.
constexpr char kUrlPrefix[] = "http://podman/v4.0.0/libpod";
// A socket of this machine answers at once or not at all.
constexpr long kConnectMaxMs = 5000;
// What is kept of an answer that reports an error.
constexpr size_t kErrorBytesMax = size_t{64} << 10;
// How long curl may wait for its sockets at a stretch; it minds its own timeouts.
constexpr int kPollMaxMs = 60'000;

template <typename T, void (*free)(T*)>
struct Freed {
  void operator()(T* object) const { free(object); }
};
void FreeMulti(CURLM* multi) { curl_multi_cleanup(multi); }

using EasyHandle = std::unique_ptr<CURL, Freed<CURL, curl_easy_cleanup>>;
using MultiHandle = std::unique_ptr<CURLM, Freed<CURLM, FreeMulti>>;
using HeaderList = std::unique_ptr<curl_slist, Freed<curl_slist, curl_slist_free_all>>;

// Curl's process-wide state, made once before the first handle; it lives as long as the process.
void InitializeCurl() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  BERTH_CHECK(code == CURLE_OK);
}

// 304 says that what was asked for is so already.
bool IsSuccess(long http_status) {
  return (http_status >= 200 && http_status < 300) || http_status == 304;
}

// One request and its answer.
class Transfer {
 public:
  Transfer(const std::string& socket_path, const LibpodRequest& request,
           const LibpodClient::StreamHandlers& handlers);

  absl::Status Run(std::stop_token stop);

  // Whether nothing listens on the socket, so that the request was not sent.
  bool refused() const { return result_ == CURLE_COULDNT_CONNECT; }

 private:
  static size_t OnHeader(char* bytes, size_t, size_t count, void* transfer);
  static size_t OnBytes(char* bytes, size_t, size_t count, void* transfer);

  template <typename Value>
  void Set(CURLoption option, Value value) {
    BERTH_CHECK(curl_easy_setopt(easy_.get(), option, value) == CURLE_OK);
  }
  long HttpStatus() const;
  // Whether curl has ended the transfer; sets result_.
  bool HasEnded();
  absl::Status Outcome() const;

  const std::string& socket_path_;
  const LibpodRequest& request_;
  const LibpodClient::StreamHandlers& handlers_;
  const std::string url_;
  const EasyHandle easy_;
  const MultiHandle multi_;
  HeaderList headers_;
  bool begun_ = false;
  bool reader_has_enough_ = false;
  std::string error_answer_;
  CURLcode result_ = CURLE_OK;
};

Transfer::Transfer(const std::string& socket_path, const LibpodRequest& request,
                   const LibpodClient::StreamHandlers& handlers)
    : socket_path_(socket_path),
      request_(request),
      handlers_(handlers),
      url_(absl::StrCat(kUrlPrefix, request.path)),
      easy_(curl_easy_init()),
      multi_(curl_multi_init()) {
  BERTH_CHECK(easy_ != nullptr && multi_ != nullptr);
  Set(CURLOPT_UNIX_SOCKET_PATH, socket_path_.c_str());
  Set(CURLOPT_URL, url_.c_str());
  if (request_.method == "POST") {
    headers_.reset(curl_slist_append(nullptr, "Content-Type: application/json"));
    // Podman's answer to `Expect: 100-continue` would cost a round trip.
    headers_.reset(curl_slist_append(headers_.release(), "Expect:"));
    Set(CURLOPT_HTTPHEADER, headers_.get());
    Set(CURLOPT_POSTFIELDS, request_.body.c_str());
    Set(CURLOPT_POSTFIELDSIZE, static_cast<long>(request_.body.size()));
  } else {
    Set(CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  }
  Set(CURLOPT_CONNECTTIMEOUT_MS, kConnectMaxMs);
  if (request_.timeout != absl::InfiniteDuration()) {
    Set(CURLOPT_TIMEOUT_MS, static_cast<long>(absl::ToInt64Milliseconds(request_.timeout)));
  }
  Set(CURLOPT_NOSIGNAL, 1L);  // No SIGALRM: there are other threads.
  Set(CURLOPT_NOPROXY, "*");  // Whatever the environment says.
  Set(CURLOPT_HEADERFUNCTION, OnHeader);
  Set(CURLOPT_HEADERDATA, this);
  Set(CURLOPT_WRITEFUNCTION, OnBytes);
  Set(CURLOPT_WRITEDATA, this);
}

absl::Status Transfer::Run(std::stop_token stop) {
  BERTH_CHECK(curl_multi_add_handle(multi_.get(), easy_.get()) == CURLM_OK);
  bool ended = false;
  {
    const std::stop_callback wake(stop, [this] { curl_multi_wakeup(multi_.get()); });
    while (!stop.stop_requested()) {
      int running = 0;
      BERTH_CHECK(curl_multi_perform(multi_.get(), &running) == CURLM_OK);
      ended = HasEnded();
      if (ended) break;
      curl_multi_poll(multi_.get(), nullptr, 0, kPollMaxMs, nullptr);
    }
  }
  const absl::Status outcome = ended ? Outcome() : absl::OkStatus();
  curl_multi_remove_handle(multi_.get(), easy_.get());
  return outcome;
}

size_t Transfer::OnHeader(char* bytes, size_t, size_t count, void* transfer) {
  Transfer& self = *static_cast<Transfer*>(transfer);
  const bool is_last = absl::string_view(bytes, count) == "\r\n";
  if (is_last && !self.begun_ && IsSuccess(self.HttpStatus())) {
    self.begun_ = true;
    if (self.handlers_.on_begin) self.handlers_.on_begin();
  }
  return count;
}

size_t Transfer::OnBytes(char* bytes, size_t, size_t count, void* transfer) {
  Transfer& self = *static_cast<Transfer*>(transfer);
  if (!IsSuccess(self.HttpStatus())) {
    if (self.error_answer_.size() + count <= kErrorBytesMax)
      self.error_answer_.append(bytes, count);
    return count;
  }
  if (self.handlers_.on_bytes({bytes, count})) return count;
  self.reader_has_enough_ = true;
  return 0;  // Ends the transfer with CURLE_WRITE_ERROR.
}

long Transfer::HttpStatus() const {
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  return status;
}

bool Transfer::HasEnded() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    result_ = message->data.result;
    return true;
  }
  return false;
}

absl::Status Transfer::Outcome() const {
  if (reader_has_enough_) return absl::OkStatus();
  if (result_ == CURLE_OPERATION_TIMEDOUT) {
    return absl::DeadlineExceededError(absl::StrCat("podman did not answer ", request_.method, " ",
                                                    request_.path, " within ",
                                                    absl::FormatDuration(request_.timeout)));
  }
  if (result_ != CURLE_OK) {
    return absl::UnavailableError(absl::StrCat("podman does not answer on ", socket_path_, ": ",
                                               curl_easy_strerror(result_)));
  }
  const long http_status = HttpStatus();
  if (IsSuccess(http_status)) return absl::OkStatus();
  const nlohmann::json answer = nlohmann::json::parse(error_answer_, nullptr, false);
  std::string message = StringOf(answer, "message");
  if (message.empty()) message = absl::StrCat("HTTP status ", http_status);
  return LibpodError(static_cast<int>(http_status), message);
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
  InitializeCurl();
  Transfer transfer(socket_path_, request, handlers);
  absl::Status status = transfer.Run(stop);
  if (!transfer.refused() || !on_refused_) return status;
  if (absl::Status revived = on_refused_(); !revived.ok()) return revived;
  return Transfer(socket_path_, request, handlers).Run(stop);
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
