#include "integration/harness/http.h"

#include <curl/curl.h>

#include <chrono>
#include <memory>
#include <thread>

namespace berth::integration {
namespace {

size_t Append(const char* bytes, size_t size, size_t count, std::string* body) {
  body->append(bytes, size * count);
  return size * count;
}

}  // namespace

Page Get(const std::string& url, absl::Duration limit) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 &curl_easy_cleanup);
  Page page;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS,
                   static_cast<long>(absl::ToInt64Milliseconds(limit)));
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, &Append);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &page.body);
  const CURLcode code = curl_easy_perform(curl.get());
  if (code != CURLE_OK) {
    page.error = curl_easy_strerror(code);
    return page;
  }
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &page.status);
  return page;
}

std::optional<absl::Duration> TimeToAnswer(const std::string& url, absl::Duration limit) {
  constexpr std::chrono::milliseconds kAskEvery(1);
  // What is lost while an interface comes up is sent again by the kernel after a second only.
  constexpr absl::Duration kAnswerMax = absl::Milliseconds(100);
  const auto begin = std::chrono::steady_clock::now();
  while (Get(url, kAnswerMax).status != 200) {
    if (absl::FromChrono(std::chrono::steady_clock::now() - begin) > limit) return std::nullopt;
    std::this_thread::sleep_for(kAskEvery);
  }
  return absl::FromChrono(std::chrono::steady_clock::now() - begin);
}

}  // namespace berth::integration
