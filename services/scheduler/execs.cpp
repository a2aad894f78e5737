#include "services/scheduler/execs.h"

#include <deque>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/exec/exec_grant.h"
#include "common/ids/names.h"

namespace berth::scheduler {

// One command: the person's stream at one end, a session of the relay at the other.
class ExecConversation : public rpc::Conversation {
 public:
  ExecConversation(Execs* execs, std::string name, const v1::ExecGrant& grant,
                   std::weak_ptr<rpc::Stream> stream)
      : execs_(execs), name_(std::move(name)), grant_(grant), stream_(std::move(stream)) {}

  ~ExecConversation() override {
    execs_->Forget(name_);
    std::optional<uint64_t> session;
    {
      MutexLock lock(&mutex_);
      session = session_;
    }
    if (session.has_value()) execs_->relay_->Close(*session);
    FailInput(absl::CancelledError("the command's stream has ended"));
  }

  bool IsOf(const std::string& principal, const types::v1::EnvironmentName& environment) const {
    return grant_.principal() == principal &&
           ToString(grant_.environment()) == ToString(environment);
  }

  void Started(uint64_t session) {
    v1::ExecResponse response;
    response.mutable_started()->set_session(name_);
    response.mutable_started()->set_instance(grant_.instance());
    MutexLock lock(&mutex_);
    session_ = session;
    // Before anything that came since.
    waiting_.push_front({std::make_shared<const std::string>(response.SerializeAsString()), 0});
  }

  // The agent's word.
  void Received(const v1::RelayUp& message) {
    v1::ExecResponse response;
    size_t bytes = 0;
    if (message.has_exec_input_taken()) {
      Execs::Reply reply;
      {
        MutexLock lock(&mutex_);
        reply = std::exchange(reply_, nullptr);
      }
      if (reply) reply(v1::ExecInputResponse());
      return;
    }
    if (message.has_exec_output()) {
      *response.mutable_output() = message.exec_output();
      bytes = message.exec_output().data().size();
    } else if (message.has_exec_exited()) {
      *response.mutable_exited() = message.exec_exited();
    } else {
      return;
    }
    bool too_much = false;
    {
      MutexLock lock(&mutex_);
      bytes_waiting_ += bytes;
      too_much = bytes_waiting_ > Execs::kOutputWindowBytes;
      if (!too_much) {
        waiting_.push_back(
            {std::make_shared<const std::string>(response.SerializeAsString()), bytes});
      }
    }
    const std::shared_ptr<rpc::Stream> stream = stream_.lock();
    if (stream == nullptr) return;
    if (too_much) {
      stream->End(absl::InternalError("the agent sent more output than it was let"));
    } else {
      stream->Wake();
    }
  }

  void Ended(const absl::Status& status) {
    FailInput(status.ok() ? absl::NotFoundError("the command has ended") : status);
    if (const std::shared_ptr<rpc::Stream> stream = stream_.lock()) stream->End(status);
  }

  WatchFrame Next() override {
    Piece piece;
    std::optional<uint64_t> session;
    {
      MutexLock lock(&mutex_);
      if (waiting_.empty()) return {};
      piece = std::move(waiting_.front());
      waiting_.pop_front();
      bytes_waiting_ -= piece.output_bytes;
      session = session_;
    }
    if (piece.output_bytes > 0 && session.has_value()) {
      v1::RelayDown credit;
      credit.mutable_exec_credit()->set_bytes(static_cast<uint32_t>(piece.output_bytes));
      execs_->relay_->Send(*session, std::move(credit));
    }
    return {std::move(piece.message)};
  }

  void Input(const v1::ExecInput& input, Execs::Reply reply) {
    std::optional<uint64_t> session;
    {
      MutexLock lock(&mutex_);
      if (!reply_ && session_.has_value()) {
        session = session_;
        reply_ = std::exchange(reply, nullptr);
      }
    }
    if (reply) {
      return reply(
          absl::ResourceExhaustedError("what the command was sent before is not taken yet"));
    }
    v1::RelayDown message;
    *message.mutable_exec_input() = input;
    execs_->relay_->Send(*session, std::move(message));
  }

 private:
  struct Piece {
    std::shared_ptr<const std::string> message;
    size_t output_bytes = 0;
  };

  void FailInput(const absl::Status& why) {
    Execs::Reply reply;
    {
      MutexLock lock(&mutex_);
      reply = std::exchange(reply_, nullptr);
    }
    if (reply) reply(why);
  }

  Execs* const execs_;
  const std::string name_;
  const v1::ExecGrant grant_;
  const std::weak_ptr<rpc::Stream> stream_;
  Mutex mutex_;
  std::optional<uint64_t> session_ ABSL_GUARDED_BY(mutex_);
  std::deque<Piece> waiting_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_waiting_ ABSL_GUARDED_BY(mutex_) = 0;  // Of output, in waiting_.
  Execs::Reply reply_ ABSL_GUARDED_BY(mutex_);        // Of the input that is under way.
};

void Execs::Begin(const v1::ExecGrant& grant, const SigningKey& key, const v1::ExecRequest& request,
                  std::shared_ptr<rpc::Stream> stream) {
  const std::string name = ids_->NewId();
  const auto conversation = std::make_shared<ExecConversation>(this, name, grant, stream);
  {
    MutexLock lock(&mutex_);
    running_[name] = conversation;
  }
  v1::OpenExec open;
  *open.mutable_grant() = SignExecGrant(grant, key);
  if (request.has_terminal()) *open.mutable_terminal() = request.terminal();
  open.set_input(request.input());
  const std::weak_ptr<ExecConversation> weak = conversation;
  const absl::StatusOr<uint64_t> session = relay_->OpenExec(grant.host(), grant.instance(), open,
                                                            {nullptr,
                                                             [weak](absl::Status status) {
                                                               if (const auto alive = weak.lock())
                                                                 alive->Ended(status);
                                                             },
                                                             [weak](const v1::RelayUp& message) {
                                                               if (const auto alive = weak.lock())
                                                                 alive->Received(message);
                                                             }});
  if (!session.ok()) return stream->End(session.status());
  conversation->Started(*session);
  stream->Begin(conversation);
  stream->Wake();
}

void Execs::Input(const std::string& principal, const v1::ExecInputRequest& request, Reply reply) {
  if (request.input().data().size() > kInputBytesMax) {
    return reply(absl::InvalidArgumentError(
        absl::StrCat("a piece of input has at most ", kInputBytesMax, " bytes")));
  }
  std::shared_ptr<ExecConversation> conversation;
  {
    MutexLock lock(&mutex_);
    const auto found = running_.find(request.session());
    if (found != running_.end()) conversation = found->second.lock();
  }
  if (conversation == nullptr || !conversation->IsOf(principal, request.environment())) {
    return reply(absl::NotFoundError("the command has ended"));
  }
  conversation->Input(request.input(), std::move(reply));
}

void Execs::Forget(const std::string& name) {
  MutexLock lock(&mutex_);
  running_.erase(name);
}

}  // namespace berth::scheduler
