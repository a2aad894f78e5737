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

// How long after an interruption what is followed is looked for again.
constexpr absl::Duration kReopenDelay = absl::Seconds(1);

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

// Prints what comes until the stream has ended, as `ended` says then, or Ctrl-C.
Foreground::Outcome Read(const LogsRequest& request, rpc::Channel* channel, LogPrinter* printer,
                         absl::Status* ended) {
  Foreground foreground;
  // Lines are written where they arrive, so that a reader who is slow slows the server down instead
  // of filling this process's memory.
  const std::unique_ptr<rpc::ClientStream> stream = channel->Open<LogsResponse>(
      request,
      [printer](const LogsResponse& line) {
        const std::string text = printer->Render(line);
        std::fwrite(text.data(), 1, text.size(), stdout);
        std::fflush(stdout);
      },
      [&foreground, ended](absl::Status status) {
        foreground.Post([&foreground, ended, status] {
          *ended = status;
          foreground.Stop();
        });
      });
  return foreground.Run(absl::InfiniteDuration());
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
  while (true) {
    absl::Status ended;
    if (Read(request, channel.get(), &printer, &ended) == Foreground::Outcome::kInterrupted) {
      return ExitCode::kInterrupted;
    }
    if (ended.ok()) return ExitCode::kSuccess;
    // A server or an agent that restarts is no reason to end what is followed.
    if (!request.follow() || !absl::IsUnavailable(ended)) return ended;
    if (request.tail() > 0) {
      output.Say(
          absl::StrCat("the output is interrupted, and lines may be missing: ", ended.message()));
    }
    request.set_tail(0);
    if (!Session::Pause(kReopenDelay).ok()) return ExitCode::kInterrupted;
  }
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
