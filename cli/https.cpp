#include "cli/https.h"

#include <curl/curl.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace berth::cli {
namespace {

constexpr long kConnectTimeoutMs = 10'000;
constexpr long kTimeoutMs = 30'000;
constexpr long kRedirectsMax = 5;
constexpr size_t kBodyBytesMax = 1 << 20;
constexpr size_t kHeadersMax = 200;

enum class Method { kGet, kHead };

size_t TakeBody(char* data, size_t, size_t size, void* user) {
  auto* response = static_cast<HttpsResponse*>(user);
  // Taking less than there is makes curl give up.
  if (response->body.size() + size > kBodyBytesMax) return 0;
  response->body.append(data, size);
  return size;
}

size_t TakeHeader(char* data, size_t, size_t size, void* user) {
  auto* response = static_cast<HttpsResponse*>(user);
  const absl::string_view line(data, size);
  // A redirect's headers are not the answer's.
  if (absl::StartsWith(line, "HTTP/")) response->headers.clear();
  const size_t colon = line.find(':');
  if (colon != absl::string_view::npos && response->headers.size() < kHeadersMax) {
    response->headers[absl::AsciiStrToLower(line.substr(0, colon))] =
        std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
  }
  return size;
}

absl::StatusOr<HttpsResponse> Request(Method method, const std::string& url,
                                      const std::vector<std::string>& headers) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 &curl_easy_cleanup);
  if (curl == nullptr) return absl::ResourceExhaustedError("no memory for a request");
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> lines(nullptr, &curl_slist_free_all);
  for (const std::string& header : headers) {
    curl_slist* const longer = curl_slist_append(lines.get(), header.c_str());
    if (longer == nullptr) return absl::ResourceExhaustedError("no memory for a request");
    (void)lines.release();
    lines.reset(longer);
  }
  HttpsResponse response;
  char error[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, lines.get());
  curl_easy_setopt(curl.get(), CURLOPT_NOBODY, method == Method::kHead ? 1L : 0L);
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(curl.get(), CURLOPT_REDIR_PROTOCOLS_STR, "https");
  curl_easy_setopt(curl.get(), CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_MAXREDIRS, kRedirectsMax);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, kTimeoutMs);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, "berth/" BERTH_VERSION);
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, &TakeBody);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &response);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERFUNCTION, &TakeHeader);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERDATA, &response);
  const CURLcode result = curl_easy_perform(curl.get());
  if (result != CURLE_OK) {
    return absl::UnavailableError(
        absl::StrCat(url, ": ", *error != '\0' ? error : curl_easy_strerror(result)));
  }
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &response.code);
  return response;
}

}  // namespace

absl::StatusOr<HttpsResponse> HttpsHead(const std::string& url,
                                        const std::vector<std::string>& headers) {
  return Request(Method::kHead, url, headers);
}

absl::StatusOr<HttpsResponse> HttpsGet(const std::string& url,
                                       const std::vector<std::string>& headers) {
  return Request(Method::kGet, url, headers);
}

std::string UrlEscape(absl::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || absl::StrContains("-._~", c)) {
      escaped.push_back(c);
    } else {
      absl::StrAppendFormat(&escaped, "%%%02X", byte);
    }
  }
  return escaped;
}

}  // namespace berth::cli
