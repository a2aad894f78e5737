#include "agent/health/prober.h"

#include <httplib.h>
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
#include "common/clock/system_clock.h"
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

// Ends the request once its time is over. The library's own limits are for each read, so that an
// instance could hold a check for ever by sending a byte now and then.
void EndAfter(absl::Duration timeout, const std::shared_ptr<httplib::Client>& client,
              Executor* deadlines) {
  deadlines->PostAfter(timeout, [timeout, deadlines, client = std::weak_ptr(client)] {
    const std::shared_ptr<httplib::Client> late = client.lock();
    if (late == nullptr) return;
    late->stop();
    // It may be just about to connect, and then has not noticed.
    EndAfter(timeout, late, deadlines);
  });
}

CheckResult RunHttpCheck(const HttpCheck& check, const std::string& address, absl::Duration timeout,
                         Executor* deadlines) {
  const std::string host_port = FormatHostPort({address, check.port});
  const std::string what = absl::StrCat("GET http://", host_port, check.path, ": ");
  const auto client = std::make_shared<httplib::Client>(address, check.port);
  client->set_connection_timeout(absl::ToChronoMicroseconds(timeout));
  client->set_read_timeout(absl::ToChronoMicroseconds(timeout));
  client->set_write_timeout(absl::ToChronoMicroseconds(timeout));
  // Its page is read and forgotten, so that a server does not see its client leave in the middle;
  // one without end is left at the limit.
  int status = 0;
  size_t page_bytes = 0;
  EndAfter(timeout, client, deadlines);
  const SystemClock clock;
  const absl::Duration begin = clock.Monotonic();
  const httplib::Result result = client->Get(
      check.path, {{"User-Agent", "berth-agent/" BERTH_VERSION}},
      [&](const httplib::Response& response) {
        status = response.status;
        return true;
      },
      [&](const char*, size_t size) {
        page_bytes += size;
        return page_bytes <= kPageBytesMax;
      });
  if (result.error() != httplib::Error::Success && result.error() != httplib::Error::Canceled) {
    return Failed(clock.Monotonic() - begin >= timeout
                      ? absl::StrCat(what, "no answer within ", absl::FormatDuration(timeout))
                      : absl::StrCat(what, httplib::to_string(result.error())));
  }
  // One without a page does not come to the handler above.
  if (result) status = result->status;
  if (IsExpected(check, status)) return {.passed = true, .detail = ""};
  const std::string wanted =
      check.statuses.empty() ? "200 to 399" : absl::StrJoin(check.statuses, ", ");
  return Failed(absl::StrCat(what, "status ", status, ", expected ", wanted));
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
                     Driver& driver, Executor* deadlines) {
  if (const auto* tcp = std::get_if<TcpCheck>(&check)) {
    return RunTcpCheck(*tcp, target.address, timeout);
  }
  if (const auto* http = std::get_if<HttpCheck>(&check)) {
    return RunHttpCheck(*http, target.address, timeout, deadlines);
  }
  return RunExecCheck(std::get<ExecCheck>(check), target.handle, timeout, driver);
}

}  // namespace berth
