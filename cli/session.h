#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "berth/types/v1/types.pb.h"
#include "cli/command.h"
#include "cli/command_line.h"
#include "cli/context.h"
#include "cli/output.h"
#include "common/rpc/channel.h"
#include "common/status/status_macros.h"

namespace berth::cli {

// What a running command has: its options, where its results go, and the server it speaks to, found
// and connected to when first needed.
class Session {
 public:
  // How often a call is made to a server that is only just starting, and how long apart.
  static constexpr int kAttemptsMax = 20;
  static constexpr absl::Duration kRetryDelay = absl::Milliseconds(100);

  explicit Session(const CommandLine* line)
      : line_(line),
        output_(line->global().format, line->global().quiet, line->global().no_colour) {}

  const CommandLine& line() const { return *line_; }
  const Output& output() const { return output_; }

  // Where the command goes. Errors as ResolveTarget's, or files that cannot be read.
  absl::StatusOr<const Target*> target();

  // The connection to that server. kFailedPrecondition: its CA cannot be read.
  absl::StatusOr<std::shared_ptr<rpc::Channel>> channel();

  // The org. A usage error where nothing says which.
  absl::StatusOr<std::string> Org();

  // The environment that `reference` names, APP or APP/ENV, and the options and the folder
  // complete.
  absl::StatusOr<types::v1::EnvironmentName> Environment(const std::string& reference = "");

  // Calls the server, again and again while it says that it is not ready yet. Every attempt carries
  // the same request id, so that none is carried out twice, and waits for at most `deadline`.
  template <typename Response, typename Request>
  absl::StatusOr<Response> Call(const Request& request,
                                absl::Duration deadline = rpc::CallOptions::kDeadline) {
    BERTH_ASSIGN_OR_RETURN(const std::shared_ptr<rpc::Channel> server, channel());
    rpc::CallOptions options = CallOptions();
    options.deadline = deadline;
    for (int attempt = 1;; ++attempt) {
      absl::StatusOr<Response> response = server->Call<Response>(request, options);
      if (response.ok() || attempt == kAttemptsMax || !MayTryAgain(response.status())) {
        return Explain(std::move(response));
      }
      BERTH_RETURN_IF_ERROR(Pause(kRetryDelay));
    }
  }

  // Waits. kCancelled: the person pressed Ctrl-C.
  static absl::Status Pause(absl::Duration duration);

 private:
  static rpc::CallOptions CallOptions();
  static bool MayTryAgain(const absl::Status& status);
  // Says of a server that cannot be reached which one it is.
  absl::Status Explain(const absl::Status& status) const;
  template <typename Response>
  absl::StatusOr<Response> Explain(absl::StatusOr<Response> response) const {
    if (!response.ok()) return Explain(response.status());
    return response;
  }

  const CommandLine* const line_;
  const Output output_;
  std::unique_ptr<Target> target_;
  std::shared_ptr<rpc::Channel> channel_;
};

}  // namespace berth::cli
