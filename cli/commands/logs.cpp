#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "cli/commands/commands.h"
#include "cli/foreground.h"
#include "cli/log_printer.h"
#include "cli/session.h"

namespace berth::cli {
namespace {

using scheduler::v1::LogsRequest;
using scheduler::v1::LogsResponse;

struct LogsOptions {
  bool follow = false;
  uint32_t tail = 100;
  std::string process;
  std::string instance;
};

// Whether the lines of several instances may come.
absl::StatusOr<bool> SeveralInstances(const LogsRequest& request, Session* session) {
  if (!request.instance().empty()) return false;
  scheduler::v1::GetEnvironmentStatusRequest status_request;
  *status_request.mutable_environment() = request.environment();
  BERTH_ASSIGN_OR_RETURN(
      const auto status,
      session->Call<scheduler::v1::GetEnvironmentStatusResponse>(status_request));
  int count = 0;
  for (const scheduler::v1::Instance& instance : status.instances()) {
    if (request.process_type().empty() || instance.process_type() == request.process_type()) {
      ++count;
    }
  }
  // While it is followed, an instance may be replaced by another.
  return count > 1 || request.follow();
}

absl::StatusOr<ExitCode> RunLogs(const LogsOptions& options, Session* session) {
  LogsRequest request;
  BERTH_ASSIGN_OR_RETURN(*request.mutable_environment(), session->Environment());
  request.set_instance(options.instance);
  request.set_process_type(options.process);
  request.set_tail(options.tail);
  request.set_follow(options.follow);
  BERTH_ASSIGN_OR_RETURN(const bool several, SeveralInstances(request, session));
  BERTH_ASSIGN_OR_RETURN(const std::shared_ptr<rpc::Channel> channel, session->channel());

  const Output& output = session->output();
  LogPrinter printer(output.json() ? LogPrinter::Style::kJson
                     : several     ? LogPrinter::Style::kPrefixed
                                   : LogPrinter::Style::kPlain,
                     HasColour(stdout, output.colour_refused()));
  Foreground foreground;
  absl::Status ended;
  // Lines are written where they arrive, so that a reader who is slow slows the server down instead
  // of filling this process's memory.
  const std::unique_ptr<rpc::ClientStream> stream = channel->Open<LogsResponse>(
      request,
      [&](const LogsResponse& line) {
        const std::string text = printer.Render(line);
        std::fwrite(text.data(), 1, text.size(), stdout);
        std::fflush(stdout);
      },
      [&](absl::Status status) {
        foreground.Post([&, status] {
          ended = status;
          foreground.Stop();
        });
      });
  if (foreground.Run(absl::InfiniteDuration()) == Foreground::Outcome::kInterrupted) {
    return ExitCode::kInterrupted;
  }
  if (!ended.ok()) return ended;
  return ExitCode::kSuccess;
}

}  // namespace

Command LogsCommand() {
  const auto options = std::make_shared<LogsOptions>();
  return {.name = "logs",
          .summary = "Show what the instances of an environment print",
          .example = "berth logs -f --process web",
          .declare =
              [options](Arguments* arguments) {
                arguments->Flag("-f,--follow", &options->follow, "go on with new lines");
                arguments->Option(
                    "--tail", &options->tail, "N",
                    absl::StrCat("past lines of each instance; default: ", options->tail));
                arguments->Option("--process", &options->process, "PROCESS",
                                  "only instances of this process type");
                arguments->Option("--instance", &options->instance, "INSTANCE",
                                  "only this instance");
              },
          .run = [options](Session* session) { return RunLogs(*options, session); }};
}

}  // namespace berth::cli
