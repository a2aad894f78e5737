#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth {

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// Makes a page anew for each request. Any thread, several at a time.
using HttpPage = std::function<HttpResponse()>;

// Whether plain HTTP may be served on the address: what never leaves the machine. kInvalidArgument:
// not HOST:PORT; kFailedPrecondition: another address than the loopback's, or a name.
absl::Status CheckLoopback(absl::string_view address);

// Serves pages by their path over plain HTTP/1.1, to this machine only: GET and HEAD, one request
// per connection. Whatever clients do, it holds at most kThreads connections; others wait in the
// kernel's queue.
class HttpServer {
 public:
  static constexpr size_t kThreads = 4;
  static constexpr size_t kRequestBodyBytesMax = 64 << 10;
  static constexpr absl::Duration kReadTimeout = absl::Seconds(5);  // For each read.
  static constexpr absl::Duration kWriteTimeout = absl::Seconds(5);
  static constexpr absl::Duration kRestartDelay = absl::Seconds(1);

  // Listens on `address`, HOST:PORT of the loopback; port 0 takes any. kUnavailable: it cannot be
  // had; the others are CheckLoopback's.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(absl::string_view address,
                                                           std::map<std::string, HttpPage> pages);

  // Waits for the pages that are being made.
  virtual ~HttpServer() = default;

  // HOST:PORT, with the port that was taken.
  virtual const std::string& address() const = 0;
};

}  // namespace berth
