#include "common/rpc/dispatcher.h"

#include <algorithm>
#include <atomic>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/crypto/hash.h"
#include "common/ids/names.h"
#include "common/rpc/subject.h"
#include "common/rpc/token.h"
#include "common/status/error_details.h"
#include "common/sync/mutex.h"

namespace berth::rpc {

absl::Status Conversation::Receive(const std::string&) {
  return absl::UnimplementedError("this stream takes no messages from the client");
}

Dispatcher::Dispatcher(
    const google::protobuf::ServiceDescriptor* service, AccessView* view, Executor* executor,
    const Clock* clock,
    std::function<void(CommandOrigin, absl::Status, std::function<void(absl::Status)>)>
        record_refusal)
    : service_(service),
      view_(view),
      executor_(executor),
      clock_(clock),
      gate_(view),
      record_refusal_(std::move(record_refusal)) {
  view_->OnChange([this] { executor_->Post([this] { CheckOpenStreams(); }); });
}

void Dispatcher::Add(const google::protobuf::Descriptor* request,
                     const google::protobuf::Descriptor* response, Handler handler) {
  const std::vector<Method>& methods = MethodsOf(*service_);
  const auto method = std::find_if(methods.begin(), methods.end(), [&](const Method& each) {
    return each.descriptor->input_type() == request;
  });
  BERTH_CHECK_MESSAGE(method != methods.end(), request->full_name());
  BERTH_CHECK_MESSAGE(method->descriptor->output_type() == response, method->full_name);
  BERTH_CHECK_MESSAGE(method->descriptor->server_streaming() == (handler.streaming != nullptr),
                      method->full_name);
  BERTH_CHECK_MESSAGE(handlers_.emplace(&*method, std::move(handler)).second, method->full_name);
}

absl::Status Dispatcher::Check() const {
  if (absl::Status status = CheckDeclarations(*service_); !status.ok()) return status;
  for (const Method& method : MethodsOf(*service_)) {
    if (!handlers_.contains(&method)) {
      return absl::InternalError(absl::StrCat(method.full_name, " has no handler"));
    }
  }
  return absl::OkStatus();
}

void Dispatcher::Admit(const IncomingCall& incoming, const std::string& bytes,
                       std::shared_ptr<google::protobuf::Message> request, Admitted admitted) {
  if (!request->ParseFromString(bytes)) {
    return admitted(absl::InvalidArgumentError(
        absl::StrCat("the request is not a ", request->GetDescriptor()->full_name())));
  }
  // A token from a moment ago may not have arrived here yet: its position says so.
  const std::optional<TokenParts> token = ParseToken(incoming.credentials.token);
  if (token.has_value() && view_->ready() && view_->position() < token->position) {
    auto answered = std::make_shared<std::atomic<bool>>(false);
    auto once = [this, incoming, bytes, request, admitted, answered] {
      if (!answered->exchange(true)) AdmitNow(incoming, bytes, *request, admitted);
    };
    const std::optional<uint64_t> waiter = view_->WhenAt(token->position, once);
    if (!waiter.has_value()) return once();
    executor_->PostAfter(kTokenWaitMax, [this, waiter, once] {
      view_->StopWaiting(*waiter);
      once();
    });
    return;
  }
  AdmitNow(incoming, bytes, *request, admitted);
}

void Dispatcher::AdmitNow(const IncomingCall& incoming, const std::string& bytes,
                          const google::protobuf::Message& request, const Admitted& admitted) {
  Call call;
  absl::StatusOr<Caller> caller = gate_.Identify(incoming.credentials, clock_->Now());
  // Whom a public method is for may hold credentials that are not valid yet, or no more.
  if (!caller.ok() && absl::IsUnauthenticated(caller.status()) &&
      incoming.method->permission == options::v1::PERMISSION_PUBLIC) {
    caller = Caller();
    caller->identity_key = incoming.credentials.identity_key;
  }
  if (!caller.ok()) {
    if (observer_.refused_unrecorded != nullptr) observer_.refused_unrecorded(*incoming.method);
    return admitted(caller.status());
  }
  call.caller = *std::move(caller);
  call.origin.principal = call.caller.principal;
  call.origin.address = incoming.address;
  call.origin.method = incoming.method->full_name;
  call.origin.request_id = incoming.request_id;
  call.origin.fingerprint = Blake2b256({bytes});
  const Subject subject = SubjectOf(request);
  call.origin.resources.assign(subject.resources.begin(), subject.resources.end());
  // The org that the permission was asked for in, and not what else the request names.
  if (std::string org = OrgOf(*incoming.method, request); CheckName("org", org).ok()) {
    call.origin.org = std::move(org);
  } else if (incoming.method->org_field.empty() && call.caller.machine.has_value()) {
    call.origin.org = call.caller.machine->org();
  }
  const absl::Status permitted = gate_.Permit(call.caller, *incoming.method, request);
  if (permitted.ok()) return admitted(std::move(call));
  // Nobody's calls are not written down: they would let anyone fill the disk.
  if (call.caller.principal.empty()) {
    if (observer_.refused_unrecorded != nullptr) observer_.refused_unrecorded(*incoming.method);
    return admitted(permitted);
  }
  record_refusal_(call.origin, permitted, [permitted, admitted](absl::Status recorded) {
    // The record's own outcome is the refusal; anything else means that it could not be written.
    admitted(recorded.code() == permitted.code() ? permitted : recorded);
  });
}

void Dispatcher::Finished(const Method& method, const absl::Status& status,
                          absl::Duration begin) const {
  if (observer_.finished == nullptr) return;
  observer_.finished(method, status, clock_->Monotonic() - begin);
}

void Dispatcher::Unary(IncomingCall incoming, const std::string& bytes, Reply reply) {
  const absl::Duration begin = clock_->Monotonic();
  if (observer_.started != nullptr) observer_.started(*incoming.method);
  Reply finish = [this, method = incoming.method, begin,
                  reply = std::move(reply)](absl::StatusOr<std::string> response) {
    Finished(*method, response.status(), begin);
    reply(std::move(response));
  };
  // Before anything else: who stands by knows neither callers nor answers as of now.
  if (absl::Status status = Leading(); !status.ok()) return finish(std::move(status));
  const Handler& handler = handlers_.at(incoming.method);
  std::shared_ptr<google::protobuf::Message> request = handler.make_request();
  Admit(incoming, bytes, request,
        [&handler, request, finish = std::move(finish)](absl::StatusOr<Call> call) {
          if (!call.ok()) return finish(call.status());
          handler.unary(*call, *request, finish);
        });
}

void Dispatcher::Open(IncomingCall incoming, const std::string& bytes,
                      std::shared_ptr<Stream> stream) {
  const absl::Duration begin = clock_->Monotonic();
  if (observer_.started != nullptr) observer_.started(*incoming.method);
  stream->WhenEnded([this, method = incoming.method, begin](const absl::Status& status) {
    Finished(*method, status, begin);
  });
  if (absl::Status status = Leading(); !status.ok()) return stream->End(std::move(status));
  const Handler& handler = handlers_.at(incoming.method);
  std::shared_ptr<google::protobuf::Message> request = handler.make_request();
  Admit(incoming, bytes, request,
        [this, &handler, incoming, request, stream](absl::StatusOr<Call> call) {
          if (!call.ok()) return stream->End(call.status());
          const OpenStream opened{incoming, request, stream};
          {
            MutexLock lock(&mutex_);
            std::erase_if(open_streams_,
                          [](const OpenStream& open) { return open.stream.expired(); });
            open_streams_.push_back(opened);
          }
          handler.streaming(*call, *request, stream);
          // Access may have changed, or the lead, before the stream was among those that are
          // checked.
          CheckAgain(opened);
          if (absl::Status status = Leading(); !status.ok()) stream->End(std::move(status));
        });
}

std::map<const Method*, size_t> Dispatcher::OpenStreams() const {
  std::map<const Method*, size_t> count;
  MutexLock lock(&mutex_);
  for (const OpenStream& open : open_streams_) {
    if (!open.stream.expired()) ++count[open.call.method];
  }
  return count;
}

absl::Status Dispatcher::Leading() const {
  return leading_ == nullptr ? absl::OkStatus() : leading_();
}

std::vector<Dispatcher::OpenStream> Dispatcher::OpenStreamsNow() {
  MutexLock lock(&mutex_);
  std::erase_if(open_streams_, [](const OpenStream& one) { return one.stream.expired(); });
  return open_streams_;
}

void Dispatcher::CheckOpenStreams() {
  for (const OpenStream& one : OpenStreamsNow()) CheckAgain(one);
}

void Dispatcher::EndStreams(const absl::Status& why) {
  for (const OpenStream& one : OpenStreamsNow()) {
    if (std::shared_ptr<Stream> stream = one.stream.lock()) stream->End(why);
  }
}

void Dispatcher::CheckAgain(const OpenStream& open) const {
  const absl::StatusOr<Caller> caller = gate_.Identify(open.call.credentials, clock_->Now());
  const absl::Status status =
      caller.ok() ? gate_.Permit(*caller, *open.call.method, *open.request) : caller.status();
  if (status.ok()) return;
  if (std::shared_ptr<Stream> stream = open.stream.lock()) stream->End(status);
}

namespace {

class WatchConversation : public Conversation {
 public:
  explicit WatchConversation(std::shared_ptr<Watcher> watcher) : watcher_(std::move(watcher)) {}

  WatchFrame Next() override { return watcher_->Next(); }

 private:
  const std::shared_ptr<Watcher> watcher_;
};

}  // namespace

void ServeWatch(LogWriter* writer, std::string topic, std::optional<watch::v1::Revision> resume,
                std::shared_ptr<Stream> stream) {
  // The watcher must not keep its own stream alive.
  auto watcher =
      std::make_shared<Watcher>(std::move(topic), [weak = std::weak_ptr<Stream>(stream)] {
        if (std::shared_ptr<Stream> alive = weak.lock()) alive->Wake();
      });
  writer->EnqueueWatch(watcher, std::move(resume), [watcher, stream](absl::Status status) {
    if (!status.ok()) return stream->End(std::move(status));
    stream->Begin(std::make_shared<WatchConversation>(watcher));
  });
}

}  // namespace berth::rpc
