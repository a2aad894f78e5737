#include "agent/health/prober.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stop_token>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/clock/system_clock.h"
#include "common/http/http_exchange.h"
#include "common/net/socket_address.h"
#include "common/net/unique_fd.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

// What is read of a page and shown of a command's output. A check wants the status, not the page.
constexpr size_t kPageBytesMax = size_t{64} << 10;
constexpr size_t kOutputBytesShown = 200;

CheckResult Failed(std::string detail) { return {.passed = false, .detail = std::move(detail)}; }

absl::StatusOr<UniqueFd> Connect(const std::string& address, uint16_t port,
                                 absl::Duration timeout) {
  BERTH_ASSIGN_OR_RETURN(const SocketAddress target, SocketAddress::FromIp(address, port));
  UniqueFd socket(::socket(target.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return absl::UnavailableError(std::strerror(errno));
  if (connect(socket.get(), target.sockaddr(), target.sockaddr_size()) == 0) return socket;
  if (errno != EINPROGRESS) return absl::UnavailableError(std::strerror(errno));
  pollfd connected{socket.get(), POLLOUT, 0};
  if (poll(&connected, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) <= 0) {
    return absl::DeadlineExceededError(
        absl::StrCat("no answer within ", absl::FormatDuration(timeout)));
  }
  int error = 0;
  socklen_t error_size = sizeof(error);
  getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &error_size);
  if (error != 0) return absl::UnavailableError(std::strerror(error));
  return socket;
}

CheckResult RunTcpCheck(const TcpCheck& check, const std::string& address, absl::Duration timeout) {
  const absl::Status connected = Connect(address, check.port, timeout).status();
  if (connected.ok()) return {.passed = true, .detail = ""};
  return Failed(absl::StrCat("connect to ", FormatHostPort({address, check.port}), ": ",
                             connected.message()));
}

bool IsExpected(const HttpCheck& check, int status) {
  if (check.statuses.empty()) return status >= 200 && status < 400;
  return std::find(check.statuses.begin(), check.statuses.end(), status) != check.statuses.end();
}

// The status of the answer to GET. Its page is read and forgotten, so that a server does not see
// its client leave in the middle; one without end is left at the limit.
absl::StatusOr<int> StatusOf(const HttpCheck& check, const std::string& address,
                             absl::Duration timeout) {
  const SystemClock clock;
  const absl::Duration begin = clock.Monotonic();
  BERTH_ASSIGN_OR_RETURN(const UniqueFd socket, Connect(address, check.port, timeout));
  const std::string request = absl::StrCat(
      "GET ", check.path, " HTTP/1.1\r\nHost: ", FormatHostPort({address, check.port}),
      "\r\nUser-Agent: berth-agent/" BERTH_VERSION "\r\nAccept: */*\r\nConnection: close\r\n\r\n");
  int status = 0;
  size_t page_bytes = 0;
  BERTH_RETURN_IF_ERROR(ExchangeHttp(socket.get(), request, timeout - (clock.Monotonic() - begin),
                                     std::stop_token(),
                                     {.on_head = [&](int answered) { status = answered; },
                                      .on_bytes =
                                          [&](absl::string_view bytes) {
                                            page_bytes += bytes.size();
                                            return page_bytes <= kPageBytesMax;
                                          }}));
  return status;
}

CheckResult RunHttpCheck(const HttpCheck& check, const std::string& address,
                         absl::Duration timeout) {
  const std::string what =
      absl::StrCat("GET http://", FormatHostPort({address, check.port}), check.path, ": ");
  const absl::StatusOr<int> status = StatusOf(check, address, timeout);
  if (absl::IsDeadlineExceeded(status.status())) {
    return Failed(absl::StrCat(what, "no answer within ", absl::FormatDuration(timeout)));
  }
  if (!status.ok()) return Failed(absl::StrCat(what, status.status().message()));
  if (IsExpected(check, *status)) return {.passed = true, .detail = ""};
  const std::string wanted =
      check.statuses.empty() ? "200 to 399" : absl::StrJoin(check.statuses, ", ");
  return Failed(absl::StrCat(what, "status ", *status, ", expected ", wanted));
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
