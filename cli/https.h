#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::cli {

struct HttpsResponse {
  long code = 0;
  // The last answer's, after redirects, names in lower case.
  std::map<std::string, std::string> headers;
  std::string body;
};

// One request over HTTPS, redirects followed to HTTPS only; proxies and authorities are the
// system's. `headers` are lines such as "Accept: text/plain". Any HTTP status is a response.
// kUnavailable: there was none within the deadline, or it is larger than the limit.
absl::StatusOr<HttpsResponse> HttpsHead(const std::string& url,
                                        const std::vector<std::string>& headers);
absl::StatusOr<HttpsResponse> HttpsGet(const std::string& url,
                                       const std::vector<std::string>& headers);

// For use in a URL's query.
std::string UrlEscape(absl::string_view text);

}  // namespace berth::cli
