#pragma once

#include <google/protobuf/message.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "berth/types/v1/types.pb.h"
#include "common/clock/clock.h"
#include "common/eventlog/log_writer.h"
#include "common/eventlog/logged_state.h"
#include "common/executor/executor.h"
#include "common/rpc/gate.h"
#include "common/rpc/methods.h"
#include "common/sync/mutex.h"
#include "common/watch/watch_hub.h"

namespace berth::rpc {

// A call as the transport hands it over.
struct IncomingCall {
  const Method* method = nullptr;
  Credentials credentials;
  std::string address;     // The peer, as the transport names it.
  std::string request_id;  // Empty where the caller sent none.
};

// A call that was let in, as a service sees it.
struct Call {
  Caller caller;
  CommandOrigin origin;
};

// A stream that a service serves: the transport pulls what is to be sent. The transport drops it
// when the call ends, for whatever reason; its destructor is where the service lets go.
class Conversation {
 public:
  virtual ~Conversation() = default;

  // The next message, in pieces that are sent one after another; empty when there is nothing now.
  // Any thread, one call at a time.
  virtual WatchFrame Next() = 0;

  // Bidirectional streams: the client's next message. Any thread, one call at a time.
  virtual absl::Status Receive(const std::string& bytes);
};

// The transport's side of a stream. Safe from any thread, at any time.
class Stream {
 public:
  virtual ~Stream() = default;

  // Gives the stream its conversation; once.
  virtual void Begin(std::shared_ptr<Conversation> conversation) = 0;

  // Conversation::Next has something.
  virtual void Wake() = 0;

  // Ends the stream once what Next has is sent.
  virtual void End(absl::Status status) = 0;

  // `ended` gets how the stream ended, once. For counting; a stream need not tell.
  virtual void WhenEnded(std::function<void(const absl::Status&)> /*ended*/) {}
};

// One service's methods, and the single way into them: identity, permission, the record of a
// refusal, then the service. The transport (gRPC, or a simulator) knows nothing but Unary and Open.
//
// Handlers are added before the first call. Calls come from any thread; handlers answer on any.
class Dispatcher {
 public:
  using Reply = std::function<void(absl::StatusOr<std::string>)>;

  // The state is as it was right after that record; or why it cannot be.
  using Restored = std::function<void(absl::StatusOr<types::v1::RecordReference>)>;
  // Brings a state to a moment of the service's past.
  using Past =
      std::function<void(const types::v1::Moment&, std::shared_ptr<LoggedState>, Restored)>;

  // What is told of calls, on whichever thread: of each its begin and its outcome.
  struct Observer {
    std::function<void(const Method&)> started;
    std::function<void(const Method&, const absl::Status&, absl::Duration)> finished;
    // It was refused, and nobody's name is known to record that under.
    std::function<void(const Method&)> refused_unrecorded;
  };

  static constexpr absl::Duration kTokenWaitMax = absl::Seconds(1);

  // `view` and `executor` outlive the dispatcher. `record_refusal` stores a refusal of a call with
  // an identity and calls back once that is durable, or failed.
  Dispatcher(const google::protobuf::ServiceDescriptor* service, AccessView* view,
             Executor* executor, const Clock* clock,
             std::function<void(CommandOrigin, absl::Status, std::function<void(absl::Status)>)>
                 record_refusal);
  virtual ~Dispatcher() = default;

  // Adds the handler of the method that takes Request and returns Response.
  template <typename Request, typename Response>
  void Unary(std::function<void(const Call&, const Request&,
                                std::function<void(absl::StatusOr<Response>)>)>
                 handler) {
    Add(Request::descriptor(), Response::descriptor(),
        {[] { return std::make_unique<Request>(); },
         [handler = std::move(handler)](const Call& call, const google::protobuf::Message& request,
                                        Reply reply) {
           handler(call, static_cast<const Request&>(request),
                   [reply = std::move(reply)](absl::StatusOr<Response> response) {
                     if (!response.ok()) return reply(response.status());
                     reply(response->SerializeAsString());
                   });
         },
         nullptr});
  }

  // Adds the handler of a streaming method. `request` is empty for bidirectional ones, whose
  // messages come through the conversation.
  template <typename Request, typename Response>
  void Streaming(
      std::function<void(const Call&, const Request&, std::shared_ptr<Stream>)> handler) {
    Add(Request::descriptor(), Response::descriptor(),
        {[] { return std::make_unique<Request>(); }, nullptr,
         [handler = std::move(handler)](const Call& call, const google::protobuf::Message& request,
                                        std::shared_ptr<Stream> stream) {
           handler(call, static_cast<const Request&>(request), std::move(stream));
         }});
  }

  // Whether every method of the service is declared and has a handler; a server starts only then.
  absl::Status Check() const;

  void Unary(IncomingCall call, const std::string& request, Reply reply);
  void Open(IncomingCall call, const std::string& request, std::shared_ptr<Stream> stream);

  const google::protobuf::ServiceDescriptor& service() const { return *service_; }

  // The Event message of the service's log; nullptr where it has none.
  virtual const google::protobuf::Message* event() const { return nullptr; }

  // `leading` says whether this process leads; where it does not, its refusal is every call's
  // answer, whoever calls. From any thread. Before the first call.
  void SetLeading(std::function<absl::Status()> leading) { leading_ = std::move(leading); }

  // `past` is who knows the service's past, off the writer's thread (common/history). Before the
  // first call.
  void SetPast(Past past) { past_ = std::move(past); }

  // Ends every open stream: whoever has one finds out where to go on by opening it anew.
  void EndStreams(const absl::Status& why);

  // Before the first call.
  void SetObserver(Observer observer) { observer_ = std::move(observer); }

  // How many streams of each method are open now; none of other methods.
  std::map<const Method*, size_t> OpenStreams() const;

 protected:
  // Empty: nobody.
  const Past& past() const { return past_; }

 private:
  struct Handler {
    std::function<std::unique_ptr<google::protobuf::Message>()> make_request;
    std::function<void(const Call&, const google::protobuf::Message&, Reply)> unary;
    std::function<void(const Call&, const google::protobuf::Message&, std::shared_ptr<Stream>)>
        streaming;
  };
  // An open stream, to be checked again when access changes.
  struct OpenStream {
    IncomingCall call;
    std::shared_ptr<google::protobuf::Message> request;
    std::weak_ptr<Stream> stream;
  };
  using Admitted = std::function<void(absl::StatusOr<Call>)>;

  void Add(const google::protobuf::Descriptor* request,
           const google::protobuf::Descriptor* response, Handler handler);
  void Admit(const IncomingCall& incoming, const std::string& bytes,
             std::shared_ptr<google::protobuf::Message> request, Admitted admitted);
  void AdmitNow(const IncomingCall& incoming, const std::string& bytes,
                const google::protobuf::Message& request, const Admitted& admitted);
  absl::Status Leading() const;
  std::vector<OpenStream> OpenStreamsNow() ABSL_LOCKS_EXCLUDED(mutex_);
  void CheckOpenStreams();
  void CheckAgain(const OpenStream& open) const;
  void Finished(const Method& method, const absl::Status& status, absl::Duration begin) const;

  const google::protobuf::ServiceDescriptor* const service_;
  AccessView* const view_;
  Executor* const executor_;
  const Clock* const clock_;
  const Gate gate_;
  const std::function<void(CommandOrigin, absl::Status, std::function<void(absl::Status)>)>
      record_refusal_;
  absl::flat_hash_map<const Method*, Handler> handlers_;
  Observer observer_;
  std::function<absl::Status()> leading_;
  Past past_;

  mutable Mutex mutex_;
  std::vector<OpenStream> open_streams_ ABSL_GUARDED_BY(mutex_);
};

// Serves a topic of the writer's hub on a stream, from `resume` where the ring reaches back to it.
void ServeWatch(LogWriter* writer, std::string topic, std::optional<watch::v1::Revision> resume,
                std::shared_ptr<Stream> stream);

// The same, with what the request says of resuming.
template <typename Request>
void ServeWatch(LogWriter* writer, std::string topic, const Request& request,
                std::shared_ptr<Stream> stream) {
  std::optional<watch::v1::Revision> resume;
  if (request.has_resume()) resume = request.resume();
  ServeWatch(writer, std::move(topic), std::move(resume), std::move(stream));
}

}  // namespace berth::rpc
