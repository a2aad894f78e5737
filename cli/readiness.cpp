#include "cli/readiness.h"

#include <curl/curl.h>

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/local_platform.h"
#include "common/files/atomic_file.h"
#include "common/status/status_macros.h"

namespace berth::cli {
namespace {

constexpr size_t kAddressBytesMax = 256;
constexpr size_t kPageBytesMax = 4096;
constexpr long kTimeoutMs = 3'000;

size_t TakePage(char* data, size_t, size_t size, void* user) {
  auto* page = static_cast<std::string*>(user);
  // Taking less than there is makes curl give up.
  if (page->size() + size > kPageBytesMax) return 0;
  page->append(data, size);
  return size;
}

}  // namespace

absl::Status ReadinessOf(const std::string& state) {
  BERTH_ASSIGN_OR_RETURN(std::string address,
                         ReadFile(LocalPlatform::HttpAddress(state), kAddressBytesMax));
  absl::StripAsciiWhitespace(&address);
  const std::string url = absl::StrCat("http://", address, "/readyz");
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 &curl_easy_cleanup);
  if (curl == nullptr) return absl::ResourceExhaustedError("no memory for a request");
  std::string page;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http");
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, kTimeoutMs);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, &TakePage);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &page);
  const CURLcode result = curl_easy_perform(curl.get());
  if (result != CURLE_OK) {
    return absl::UnavailableError(absl::StrCat(url, ": ", curl_easy_strerror(result)));
  }
  long code = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &code);
  absl::StripAsciiWhitespace(&page);
  return code == 200 ? absl::OkStatus() : absl::FailedPreconditionError(page);
}

}  // namespace berth::cli
