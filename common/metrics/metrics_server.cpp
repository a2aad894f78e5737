#include "common/metrics/metrics_server.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/files/atomic_file.h"
#include "common/status/error_details.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

constexpr char kTextFormat[] = "text/plain; version=0.0.4; charset=utf-8";
constexpr mode_t kAddressFileMode = 0600;

HttpResponse ReadyPage(Metrics* metrics) {
  const absl::Status ready = metrics->Ready();
  HttpResponse page;
  page.status = ready.ok() ? 200 : 503;
  page.body = ready.ok() ? "ready\n" : absl::StrCat(ready.message(), "\n");
  return page;
}

}  // namespace

absl::StatusOr<MetricsServer> MetricsServer::Start(absl::string_view http, absl::string_view state,
                                                   Metrics* metrics) {
  MetricsServer server;
  const std::string address_file = AddressFile(state);
  if (http == kHttpOff) {
    unlink(address_file.c_str());
    return server;
  }
  absl::StatusOr<std::unique_ptr<HttpServer>> started = HttpServer::Start(
      http, {{"/metrics", [metrics] { return HttpResponse{200, kTextFormat, metrics->Text()}; }},
             {"/healthz", [] { return HttpResponse{.body = "alive\n"}; }},
             {"/readyz", [metrics] { return ReadyPage(metrics); }}});
  if (!started.ok()) {
    return absl::Status(started.status().code(),
                        absl::StrCat("the setting `http`: ", started.status().message(),
                                     "; name another address, or `", kHttpOff, "`"));
  }
  server.server_ = *std::move(started);
  BERTH_RETURN_IF_ERROR(WriteFileAtomically(
      address_file, absl::StrCat(server.server_->address(), "\n"), kAddressFileMode));
  return server;
}

}  // namespace berth
