#include "common/http/http_exchange.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/clock/system_clock.h"
#include "common/http/http_answer.h"
#include "common/net/unique_fd.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

constexpr size_t kReadBytesMax = size_t{16} << 10;

absl::Status Broken() { return absl::UnavailableError(std::strerror(errno)); }

// A socket with an end to waiting for it.
class Connection {
 public:
  Connection(int socket, absl::Duration timeout)
      : socket_(socket),
        timeout_(timeout),
        deadline_(clock_.Monotonic() + timeout),
        stopped_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    BERTH_CHECK(stopped_.valid());
  }

  // Ends every wait. From any thread.
  void Stop() { eventfd_write(stopped_.get(), 1); }

  // kCancelled: stopped meanwhile.
  absl::Status Send(absl::string_view bytes);
  // The next bytes, until the next call; none at the connection's end. kCancelled: as above.
  absl::StatusOr<absl::string_view> Receive();

 private:
  absl::Status Await(short events);

  const int socket_;
  const SystemClock clock_;
  const absl::Duration timeout_;
  const absl::Duration deadline_;
  const UniqueFd stopped_;
  std::array<char, kReadBytesMax> buffer_;
};

absl::Status Connection::Send(absl::string_view bytes) {
  while (!bytes.empty()) {
    BERTH_RETURN_IF_ERROR(Await(POLLOUT));
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EINTR && errno != EAGAIN) return Broken();
    bytes.remove_prefix(static_cast<size_t>(std::max<ssize_t>(sent, 0)));
  }
  return absl::OkStatus();
}

absl::StatusOr<absl::string_view> Connection::Receive() {
  while (true) {
    BERTH_RETURN_IF_ERROR(Await(POLLIN));
    const ssize_t count = recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (count >= 0) return absl::string_view(buffer_.data(), static_cast<size_t>(count));
    if (errno != EINTR && errno != EAGAIN) return Broken();
  }
}

absl::Status Connection::Await(short events) {
  while (true) {
    std::array<pollfd, 2> ready = {{{socket_, events, 0}, {stopped_.get(), POLLIN, 0}}};
    const absl::Duration left = deadline_ - clock_.Monotonic();
    const int64_t milliseconds = absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)));
    const int count = poll(ready.data(), ready.size(),
                           static_cast<int>(std::clamp<int64_t>(milliseconds, 0, INT_MAX)));
    BERTH_CHECK(count >= 0 || errno == EINTR);
    if (ready[1].revents != 0) return absl::CancelledError("stopped");
    if (clock_.Monotonic() >= deadline_) {
      return absl::DeadlineExceededError(
          absl::StrCat("no answer within ", absl::FormatDuration(timeout_)));
    }
    if (ready[0].revents != 0) return absl::OkStatus();
  }
}

absl::Status Exchange(Connection* connection, absl::string_view request,
                      const HttpAnswerHandlers& handlers) {
  BERTH_RETURN_IF_ERROR(connection->Send(request));
  HttpAnswer answer;
  bool begun = false;
  while (!answer.IsWhole()) {
    BERTH_ASSIGN_OR_RETURN(const absl::string_view bytes, connection->Receive());
    if (bytes.empty()) {
      if (answer.IsWholeAtEnd()) break;
      return absl::UnavailableError("the connection ended before the answer did");
    }
    std::string body;
    if (const absl::Status taken = answer.Take(bytes, &body); !taken.ok()) {
      return absl::UnavailableError(taken.message());
    }
    if (!answer.has_head()) continue;
    if (!std::exchange(begun, true) && handlers.on_head) handlers.on_head(answer.status());
    if (!body.empty() && !handlers.on_bytes(body)) break;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ExchangeHttp(int socket, absl::string_view request, absl::Duration timeout,
                          std::stop_token stop, const HttpAnswerHandlers& handlers) {
  Connection connection(socket, timeout);
  const std::stop_callback wake(std::move(stop), [&] { connection.Stop(); });
  const absl::Status status = Exchange(&connection, request, handlers);
  return absl::IsCancelled(status) ? absl::OkStatus() : status;
}

}  // namespace berth
