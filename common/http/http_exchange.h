#pragma once

#include <functional>
#include <stop_token>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth {

// What is done with an answer while it comes, on the exchange's thread.
struct HttpAnswerHandlers {
  std::function<void(int status)> on_head = nullptr;
  std::function<bool(absl::string_view)> on_bytes;  // Of the body. False: no more is wanted.
};

// Sends a whole request, which says "Connection: close", over a connected stream socket that is
// used for nothing else, and takes the answer. Plain HTTP/1, on this thread.
//
// OK: the answer is whole, or was ended by `on_bytes` or by `stop`, perhaps before its head.
// kDeadlineExceeded: it is not whole within `timeout`, however little of it comes how often.
// kUnavailable: the connection broke, or what came is no answer.
absl::Status ExchangeHttp(int socket, absl::string_view request, absl::Duration timeout,
                          std::stop_token stop, const HttpAnswerHandlers& handlers);

}  // namespace berth
