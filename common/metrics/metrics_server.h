#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/http/http_server.h"
#include "common/metrics/metrics.h"

namespace berth {

// Where each daemon's HTTP is by default, and the setting that turns it off.
inline constexpr char kServerHttp[] = "127.0.0.1:7480";
inline constexpr char kAgentHttp[] = "127.0.0.1:7481";
inline constexpr char kEdgeHttp[] = "127.0.0.1:7482";
inline constexpr char kAuthHttp[] = "127.0.0.1:7483";
inline constexpr char kConfigHttp[] = "127.0.0.1:7484";
inline constexpr char kSchedulerHttp[] = "127.0.0.1:7485";
inline constexpr char kEdgeRouterHttp[] = "127.0.0.1:7486";
inline constexpr char kSecretsHttp[] = "127.0.0.1:7487";
inline constexpr char kHttpOff[] = "off";

// A daemon's HTTP pages:
//   /metrics   for Prometheus
//   /healthz   200 as long as the process answers at all
//   /readyz    200 while it serves, else 503 with why it does not
class MetricsServer {
 public:
  // The file in a daemon's state folder that says where its HTTP is, HOST:PORT and a line break:
  // who looks for it need not know the settings, and port 0 is as good as any.
  static std::string AddressFile(absl::string_view state) {
    return std::string(state) + "/http-address";
  }

  // `http` is the setting: HOST:PORT of the loopback, or `off`; `state` is the daemon's folder.
  // `metrics` outlives the server. Errors are HttpServer::Start's, with what to do.
  static absl::StatusOr<MetricsServer> Start(absl::string_view http, absl::string_view state,
                                             Metrics* metrics);

 private:
  std::unique_ptr<HttpServer> server_;  // Null: off.
};

}  // namespace berth
