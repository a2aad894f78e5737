#include "agent/health/prober.h"

#include <curl/curl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/check/check.h"
#include "common/net/socket_address.h"
#include "common/net/unique_fd.h"

namespace berth {
namespace {

// What is read of a page and shown of a command's output. A check wants the status, not the page.
constexpr size_t kPageBytesMax = size_t{64} << 10;
constexpr size_t kOutputBytesShown = 200;

CheckResult Failed(std::string detail) { return {.passed = false, .detail = std::move(detail)}; }

CheckResult RunTcpCheck(const TcpCheck& check, const std::string& address, absl::Duration timeout) {
  const absl::StatusOr<SocketAddress> target = SocketAddress::FromIp(address, check.port);
  if (!target.ok()) return Failed(std::string(target.status().message()));
  const std::string what = absl::StrCat("connect to ", target->ToString(), ": ");
  const UniqueFd socket(::socket(target->family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return Failed(absl::StrCat(what, std::strerror(errno)));
  if (connect(socket.get(), target->sockaddr(), target->sockaddr_size()) == 0) {
    return {.passed = true, .detail = ""};
  }
  if (errno != EINPROGRESS) return Failed(absl::StrCat(what, std::strerror(errno)));
  pollfd connected{socket.get(), POLLOUT, 0};
  if (poll(&connected, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) <= 0) {
    return Failed(absl::StrCat(what, "no answer within ", absl::FormatDuration(timeout)));
  }
  int error = 0;
  socklen_t error_size = sizeof(error);
  getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &error_size);
  if (error != 0) return Failed(absl::StrCat(what, std::strerror(error)));
  return {.passed = true, .detail = ""};
}

struct CurlFree {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};

// Reads and forgets; a page without end is left at the limit, where its status is long known.
size_t SkipPage(char*, size_t, size_t count, void* bytes_read) {
  size_t& total = *static_cast<size_t*>(bytes_read);
  total += count;
  return total > kPageBytesMax ? 0 : count;
}

bool IsExpected(const HttpCheck& check, int status) {
  if (check.statuses.empty()) return status >= 200 && status < 400;
  return std::find(check.statuses.begin(), check.statuses.end(), status) != check.statuses.end();
}

CheckResult RunHttpCheck(const HttpCheck& check, const std::string& address,
                         absl::Duration timeout) {
  const std::string url =
      absl::StrCat("http://", FormatHostPort({address, check.port}), check.path);
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  BERTH_CHECK(initialized == CURLE_OK);
  const std::unique_ptr<CURL, CurlFree> curl(curl_easy_init());
  BERTH_CHECK(curl != nullptr);
  size_t bytes_read = 0;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http");
  curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, "berth-agent/" BERTH_VERSION);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");  // Whatever the environment says.
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);  // No SIGALRM: there are other threads.
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS,
                   static_cast<long>(absl::ToInt64Milliseconds(timeout)));
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, SkipPage);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &bytes_read);
  const CURLcode code = curl_easy_perform(curl.get());
  const bool page_cut = code == CURLE_WRITE_ERROR && bytes_read > kPageBytesMax;
  if (code != CURLE_OK && !page_cut) {
    return Failed(
        absl::StrCat("GET ", url, ": ",
                     code == CURLE_OPERATION_TIMEDOUT
                         ? absl::StrCat("no answer within ", absl::FormatDuration(timeout))
                         : curl_easy_strerror(code)));
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (IsExpected(check, static_cast<int>(status))) return {.passed = true, .detail = ""};
  const std::string wanted =
      check.statuses.empty() ? "200 to 399" : absl::StrJoin(check.statuses, ", ");
  return Failed(absl::StrCat("GET ", url, ": status ", status, ", expected ", wanted));
}

CheckResult RunExecCheck(const ExecCheck& check, const InstanceHandle& handle,
                         absl::Duration timeout, Driver& driver) {
  const std::string what = absl::StrCat("command ", absl::StrJoin(check.command, " "), ": ");
  const absl::StatusOr<ExecResult> result = driver.Exec(handle, check.command, timeout);
  if (!result.ok()) return Failed(absl::StrCat(what, result.status().message()));
  if (result->exit_code == 0) return {.passed = true, .detail = ""};
  const absl::string_view output = absl::StripAsciiWhitespace(result->output);
  return Failed(absl::StrCat(what, "exit code ", result->exit_code, output.empty() ? "" : ": ",
                             output.substr(0, kOutputBytesShown)));
}

}  // namespace

CheckResult RunCheck(const Check& check, const CheckTarget& target, absl::Duration timeout,
                     Driver& driver) {
  if (const auto* tcp = std::get_if<TcpCheck>(&check)) {
    return RunTcpCheck(*tcp, target.address, timeout);
  }
  if (const auto* http = std::get_if<HttpCheck>(&check)) {
    return RunHttpCheck(*http, target.address, timeout);
  }
  return RunExecCheck(std::get<ExecCheck>(check), target.handle, timeout, driver);
}

}  // namespace berth
