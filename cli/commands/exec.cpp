#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "cli/commands/commands.h"
#include "cli/errors.h"
#include "cli/exec_input.h"
#include "cli/foreground.h"
#include "cli/raw_terminal.h"
#include "cli/session.h"
#include "common/rpc/channel.h"
#include "common/sync/mutex.h"

namespace berth::cli {
namespace {

using scheduler::v1::ExecInputRequest;
using scheduler::v1::ExecInputResponse;
using scheduler::v1::ExecRequest;
using scheduler::v1::ExecResponse;

// How long a command may leave what it is sent unread. Where the far side is gone, the stream says
// so once the connection's keepalive has found out, and nothing is waited for any more.
constexpr absl::Duration kInputTakenMax = absl::Hours(24);

struct ExecOptions {
  bool interactive = false;
  bool terminal = false;
  std::string target;
  std::vector<std::string> command;
};

// Sends what a command reads, one piece after another, for as long as its stream goes on.
class InputCalls {
 public:
  explicit InputCalls(std::shared_ptr<rpc::Channel> channel) : channel_(std::move(channel)) {}

  // Returns once the command's host has taken it, or the stream is over.
  absl::Status Send(const ExecInputRequest& request) {
    {
      MutexLock lock(&state_->mutex);
      state_->answer.reset();
    }
    rpc::CallOptions patient;
    patient.deadline = kInputTakenMax;
    channel_->CallAsync<ExecInputResponse>(
        request, patient, [state = state_](const absl::StatusOr<ExecInputResponse>& response) {
          MutexLock lock(&state->mutex);
          state->answer = response.status();
        });
    MutexLock lock(&state_->mutex);
    state_->mutex.Await([state = state_.get()]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return state->over || state->answer.has_value();
    });
    return state_->over ? absl::CancelledError("the command's stream is over") : *state_->answer;
  }

  void StreamIsOver() {
    MutexLock lock(&state_->mutex);
    state_->over = true;
  }

 private:
  // Outlives whoever waits: an answer that nobody waits for any more may still come.
  struct State {
    Mutex mutex;
    std::optional<absl::Status> answer ABSL_GUARDED_BY(mutex);  // To the newest piece.
    bool over ABSL_GUARDED_BY(mutex) = false;
  };

  const std::shared_ptr<rpc::Channel> channel_;
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Where it is not read, the command waits: what is received is written before more is.
void WriteAll(int fd, absl::string_view data) {
  while (!data.empty()) {
    const ssize_t count = write(fd, data.data(), data.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    data.remove_prefix(static_cast<size_t>(count));
  }
}

absl::StatusOr<ExitCode> Run(const ExecRequest& request, Session* session) {
  // Before the connection's threads, and so before there is a way to send what it reads.
  std::optional<InputCalls> calls;
  ExecInput input(request.has_terminal() ? STDIN_FILENO : -1);
  BERTH_ASSIGN_OR_RETURN(const std::shared_ptr<rpc::Channel> channel, session->channel());
  calls.emplace(channel);
  Foreground foreground;
  std::optional<RawTerminal> raw;
  if (request.has_terminal()) raw.emplace(STDIN_FILENO);
  std::optional<int> exit_code;
  absl::Status ended;
  auto begin_input = [&](const std::string& name) {
    input.Start(request.input() ? STDIN_FILENO : -1,
                [&request, &calls, name](const scheduler::v1::ExecInput& piece) {
                  ExecInputRequest sent;
                  *sent.mutable_environment() = request.environment();
                  sent.set_session(name);
                  *sent.mutable_input() = piece;
                  return calls->Send(sent);
                });
  };
  std::unique_ptr<rpc::ClientStream> stream = channel->Open<ExecResponse>(
      request,
      [&](const ExecResponse& response) {
        if (response.has_started()) begin_input(response.started().session());
        if (response.has_output()) {
          const bool error = response.output().stream() == scheduler::v1::OUTPUT_STREAM_STDERR;
          WriteAll(error ? STDERR_FILENO : STDOUT_FILENO, response.output().data());
        }
        if (response.has_exited()) exit_code = response.exited().exit_code();
      },
      [&](absl::Status status) {
        foreground.Post([&, status] {
          ended = status;
          foreground.Stop();
        });
      });
  const Foreground::Outcome outcome = foreground.Run(absl::InfiniteDuration());
  // The command ends with it, and with the command whatever waits to be read by it.
  stream.reset();
  calls->StreamIsOver();
  if (outcome == Foreground::Outcome::kInterrupted) return ExitCode::kInterrupted;
  if (exit_code.has_value()) return static_cast<ExitCode>(*exit_code);
  if (!ended.ok()) return ended;
  return absl::UnavailableError("the connection ended before the command did");
}

absl::StatusOr<ExitCode> RunExec(const ExecOptions& options, Session* session) {
  ExecRequest request;
  if (options.terminal) {
    if (!IsTerminal(stdin) || !IsTerminal(stdout)) {
      return UsageError("-t takes a terminal, and this is none; leave it out in scripts");
    }
    *request.mutable_terminal() = SizeOfTerminal(STDIN_FILENO);
  }
  BERTH_ASSIGN_OR_RETURN(*request.mutable_environment(), session->Environment());
  request.set_target(options.target);
  for (const std::string& word : options.command) request.add_command(word);
  request.set_input(options.interactive);
  const absl::StatusOr<ExitCode> code = Run(request, session);
  if (code.ok()) return code;
  session->output().Error(code.status());
  return ExitCode::kExecFailed;
}

}  // namespace

Command ExecCommand() {
  const auto options = std::make_shared<ExecOptions>();
  return {.name = "exec",
          .summary = "Run a command inside an instance, and end with its exit code",
          .example = "berth exec -it web -- sh",
          .declare =
              [options](Arguments* arguments) {
                arguments->Flag("-i,--interactive", &options->interactive,
                                "the command reads what is typed or piped in");
                arguments->Flag("-t,--tty", &options->terminal, "the command has a terminal");
                arguments->RequiredPositional("INSTANCE|PROCESS", &options->target,
                                              "where; of a process type, one that is ready");
                arguments->RequiredPositionals("COMMAND", &options->command,
                                               "after --, with its arguments");
              },
          .run = [options](Session* session) { return RunExec(*options, session); }};
}

}  // namespace berth::cli
