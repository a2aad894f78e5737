#include "agent/exec_sessions.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/exec/exec_grant.h"
#include "common/executor/thread_executor.h"
#include "common/log/log.h"
#include "common/status/status_macros.h"
#include "common/sync/mutex.h"
#include "common/text/utf8.h"
#include "common/time/timestamp.h"

namespace berth::agent {
namespace {

using scheduler::v1::RelayUp;

TerminalSize SizeOf(const scheduler::v1::TerminalSize& size) {
  return {static_cast<int>(size.columns()), static_cast<int>(size.rows())};
}

void SendEnded(const ExecSessions::Send& send, uint64_t session, absl::string_view error) {
  RelayUp message;
  message.set_session(session);
  message.mutable_ended()->set_error(ToUtf8(std::string(error)));
  send(message);
}

}  // namespace

// One command. Begun and read on one thread, written to on another: both block.
class ExecSessions::Session {
 public:
  Session(uint64_t id, Send send) : id_(id), send_(std::move(send)) {}

  uint64_t id() const { return id_; }

  // Whoever waits is woken before the threads are joined.
  ~Session() {
    std::shared_ptr<ExecStream> stream;
    {
      MutexLock lock(&mutex_);
      closed_ = true;
      stream = stream_;
    }
    if (stream != nullptr) stream->Kill();
  }

  void Begin(Driver* driver, const InstanceHandle& handle, const ExecSpec& spec,
             std::function<void()> done) {
    reader_.Post([this, driver, handle, spec, done = std::move(done)] {
      absl::StatusOr<std::unique_ptr<ExecStream>> opened = driver->OpenExec(handle, spec);
      if (!opened.ok()) {
        SendEnded(send_, id_, opened.status().message());
        return done();
      }
      const std::shared_ptr<ExecStream> stream = *std::move(opened);
      {
        MutexLock lock(&mutex_);
        stream_ = stream;
        if (closed_) return;
      }
      ReadAll(stream.get());
      done();
    });
  }

  void Input(const scheduler::v1::ExecInput& input) {
    writer_.Post([this, input] {
      // Begun before anything was sent that this answers, but perhaps not yet.
      const std::shared_ptr<ExecStream> stream = AwaitStream();
      if (stream != nullptr) {
        if (input.has_resize()) stream->Resize(SizeOf(input.resize()));
        if (!input.data().empty()) (void)stream->Write(input.data());
        if (input.end()) stream->EndInput();
      }
      RelayUp taken;
      taken.set_session(id_);
      taken.mutable_exec_input_taken();
      send_(taken);
    });
  }

  void Credit(uint32_t bytes) {
    MutexLock lock(&mutex_);
    credit_ = std::min(credit_ + bytes, kOutputWindowBytes);
  }

 private:
  std::shared_ptr<ExecStream> AwaitStream() {
    MutexLock lock(&mutex_);
    mutex_.Await(
        [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stream_ != nullptr || closed_; });
    return closed_ ? nullptr : stream_;
  }

  // How much may be sent now, at least 1; 0: closed.
  size_t AwaitCredit() {
    MutexLock lock(&mutex_);
    mutex_.Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return credit_ > 0 || closed_; });
    return closed_ ? 0 : std::min(credit_, kPieceBytesMax);
  }

  void ReadAll(ExecStream* stream) {
    while (const size_t bytes_max = AwaitCredit()) {
      std::optional<ExecStream::Piece> piece = stream->Read(bytes_max);
      if (!piece.has_value()) {
        RelayUp exited;
        exited.set_session(id_);
        exited.mutable_exec_exited()->set_exit_code(stream->ExitCode());
        send_(exited);
        return SendEnded(send_, id_, "");
      }
      {
        MutexLock lock(&mutex_);
        credit_ -= piece->data.size();
      }
      RelayUp output;
      output.set_session(id_);
      output.mutable_exec_output()->set_stream(piece->source == LogLine::Source::kError
                                                   ? scheduler::v1::OUTPUT_STREAM_STDERR
                                                   : scheduler::v1::OUTPUT_STREAM_STDOUT);
      output.mutable_exec_output()->set_data(std::move(piece->data));
      send_(output);
    }
  }

  const uint64_t id_;
  const Send send_;
  Mutex mutex_;
  std::shared_ptr<ExecStream> stream_ ABSL_GUARDED_BY(mutex_);
  size_t credit_ ABSL_GUARDED_BY(mutex_) = kOutputWindowBytes;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  // Last, so that they end first.
  ThreadExecutor reader_{"exec-output"};
  ThreadExecutor writer_{"exec-input"};
};

ExecSessions::ExecSessions(Dependencies dependencies)
    : with_(std::move(dependencies)), created_(with_.clock->Now()) {}

ExecSessions::~ExecSessions() = default;

void ExecSessions::Open(uint64_t session, const scheduler::v1::OpenExec& request, Send send) {
  if (sessions_.size() >= kSessionsMax) {
    return SendEnded(send, session,
                     absl::StrCat("host ", with_.host, " runs ", kSessionsMax,
                                  " commands for people already; try again later"));
  }
  const auto opened = std::make_shared<Session>(session, send);
  sessions_[session] = opened;
  with_.ask_scheduler_key([this, request, send, loop = with_.loop,
                           weak = std::weak_ptr(opened)](absl::StatusOr<std::string> key) {
    loop->Post([this, request, send, weak, key = std::move(key)] {
      // Gone with this object, or closed already.
      const std::shared_ptr<Session> waiting = weak.lock();
      if (waiting == nullptr) return;
      const absl::Status begun = Begin(waiting, request, key);
      if (begun.ok()) return;
      SendEnded(send, waiting->id(), begun.message());
      Close(waiting->id());
    });
  });
}

absl::StatusOr<scheduler::v1::ExecGrant> ExecSessions::Check(
    const scheduler::v1::SignedExecGrant& signed_grant, const std::string& scheduler_key) const {
  BERTH_ASSIGN_OR_RETURN(scheduler::v1::ExecGrant grant,
                         VerifyExecGrant(signed_grant, scheduler_key));
  if (grant.host() != with_.host) {
    return absl::PermissionDeniedError(
        absl::StrCat("the grant is for host ", grant.host(), ", not ", with_.host));
  }
  const absl::Time expires = FromTimestamp(grant.expire_time());
  if (expires <= with_.clock->Now()) {
    return absl::PermissionDeniedError(absl::StrCat("the grant is over by the clock of host ",
                                                    with_.host,
                                                    "; see that the machines' clocks agree"));
  }
  if (expires - kExecGrantLifetime < created_) {
    return absl::PermissionDeniedError(
        absl::StrCat("the grant was made before the agent of host ", with_.host,
                     " started; try again, and see that the machines' clocks agree"));
  }
  if (used_grants_.contains(grant.id())) {
    return absl::PermissionDeniedError("the grant was used already");
  }
  if (used_grants_.size() >= kUsedGrantsMax) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "host ", with_.host, " has begun ", kUsedGrantsMax, " commands in the last minute"));
  }
  return grant;
}

absl::Status ExecSessions::Begin(const std::shared_ptr<Session>& session,
                                 const scheduler::v1::OpenExec& request,
                                 const absl::StatusOr<std::string>& scheduler_key) {
  if (!scheduler_key.ok()) {
    return absl::UnavailableError(
        absl::StrCat("auth does not say who may grant this: ", scheduler_key.status().message()));
  }
  std::erase_if(used_grants_,
                [now = with_.clock->Now()](const auto& used) { return used.second <= now; });
  BERTH_ASSIGN_OR_RETURN(const scheduler::v1::ExecGrant grant,
                         Check(request.grant(), *scheduler_key));
  used_grants_[grant.id()] = FromTimestamp(grant.expire_time());
  const std::optional<InstanceHandle> handle = with_.handle_of(grant.instance());
  if (!handle.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat("instance ", grant.instance(), " has not been started on this host"));
  }
  LogInfo("running a command for a person", {{"instance", grant.instance()},
                                             {"principal", grant.principal()},
                                             {"program", grant.command(0)}});
  ExecSpec spec;
  spec.command = {grant.command().begin(), grant.command().end()};
  if (request.has_terminal()) spec.terminal = SizeOf(request.terminal());
  spec.input = request.input();
  session->Begin(with_.driver, *handle, spec,
                 [this, loop = with_.loop, id = session->id(), weak = std::weak_ptr(session)] {
                   loop->Post([this, id, weak] {
                     // Gone with the object, or closed already.
                     if (!weak.expired()) Close(id);
                   });
                 });
  return absl::OkStatus();
}

void ExecSessions::Input(uint64_t session, const scheduler::v1::ExecInput& input) {
  const auto found = sessions_.find(session);
  if (found != sessions_.end()) found->second->Input(input);
}

void ExecSessions::Credit(uint64_t session, const scheduler::v1::ExecCredit& credit) {
  const auto found = sessions_.find(session);
  if (found != sessions_.end()) found->second->Credit(credit.bytes());
}

void ExecSessions::Close(uint64_t session) { sessions_.erase(session); }

void ExecSessions::CloseAll() { sessions_.clear(); }

}  // namespace berth::agent
