#include "common/rpc/server.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdlib>
#include <list>
#include <map>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "common/crypto/certificates.h"
#include "common/executor/thread_executor.h"
#include "common/rpc/grpc_status.h"
#include "common/sync/mutex.h"

namespace berth::rpc {
namespace {

constexpr char kAuthorization[] = "authorization";
constexpr char kBearer[] = "Bearer ";
constexpr char kRequestId[] = "berth-request-id";
constexpr size_t kKnownPeersMax = 10'000;
// A client that is gone without a word is noticed after both, and its streams end.
constexpr int kKeepaliveMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;

// nullopt: there is no message. gRPC calls a handler all the same where a call was given up before
// its message arrived, as it is when a process that stood still goes on; and no message is not the
// same as a message without bytes, which is a request in which nothing is set.
std::optional<std::string> MessageIn(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Valid() || !buffer.Dump(&slices).ok()) return std::nullopt;
  std::string bytes;
  bytes.reserve(buffer.Length());
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

absl::Status NoMessage() {
  return absl::UnimplementedError("the call brought no request; send it with one message");
}

// The frame's pieces as they are, without copying: each slice holds on to its piece.
grpc::ByteBuffer ToByteBuffer(const WatchFrame& frame) {
  std::vector<grpc::Slice> slices;
  slices.reserve(frame.size());
  for (const std::shared_ptr<const std::string>& piece : frame) {
    auto* holder = new std::shared_ptr<const std::string>(piece);
    slices.emplace_back(
        const_cast<char*>(piece->data()), piece->size(),
        [](void* user_data) { delete static_cast<std::shared_ptr<const std::string>*>(user_data); },
        holder);
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

// From certificates to the keys in them: a peer's does not change within a connection, and parsing
// one for every call would cost more than the call.
class PeerKeys {
 public:
  std::string KeyOf(const grpc::AuthContext& context) {
    const std::vector<grpc::string_ref> certificates =
        context.FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
    if (certificates.empty()) return "";
    const std::string pem(certificates.front().data(), certificates.front().size());
    MutexLock lock(&mutex_);
    if (const auto known = keys_.find(pem); known != keys_.end()) return known->second;
    const absl::StatusOr<std::string> key = PublicKeyOfCertificate(pem);
    if (keys_.size() >= kKnownPeersMax) keys_.clear();
    return keys_[pem] = key.ok() ? *key : "";
  }

 private:
  Mutex mutex_;
  absl::flat_hash_map<std::string, std::string> keys_ ABSL_GUARDED_BY(mutex_);
};

std::string MetadataOf(const grpc::CallbackServerContext& context, const char* key) {
  const auto found = context.client_metadata().find(key);
  if (found == context.client_metadata().end()) return "";
  return std::string(found->second.data(), found->second.size());
}

IncomingCall Describe(const Method& method, const grpc::CallbackServerContext& context,
                      PeerKeys* peers) {
  IncomingCall call;
  call.method = &method;
  call.address = context.peer();
  call.request_id = MetadataOf(context, kRequestId);
  const std::string authorization = MetadataOf(context, kAuthorization);
  absl::string_view token = authorization;
  if (absl::ConsumePrefix(&token, kBearer)) call.credentials.token = std::string(token);
  call.credentials.identity_key = peers->KeyOf(*context.auth_context());
  return call;
}

// What the service holds of a stream. Outlives the call where the service holds on to it longer.
//
// What a service says of a stream only leaves word with `sender`: who tells a thousand watchers of
// a change waits for no socket, and each of them is sent, when its turn comes, all that there is
// then.
class GrpcStream : public Stream, public std::enable_shared_from_this<GrpcStream> {
 public:
  // What the reactor does for the stream.
  class Port {
   public:
    virtual ~Port() = default;
    // Begins to receive: the client's messages wait with the client until somebody takes them.
    virtual void Read() {}
    virtual void Write(grpc::ByteBuffer message) = 0;
    virtual void Finish(grpc::Status status) = 0;
  };

  // `sender` outlives the call.
  GrpcStream(Port* port, Executor* sender) : port_(port), sender_(sender) {}

  void Begin(std::shared_ptr<Conversation> conversation) override {
    {
      MutexLock lock(&mutex_);
      if (finished_) return;
      conversation_ = std::move(conversation);
      read_pending_ = true;
    }
    Wake();
  }

  void Wake() override {
    MutexLock lock(&mutex_);
    if (std::exchange(wake_pending_, true)) return;
    // The end of a write pumps anyhow. After the call nothing is left to the sender, which may be
    // gone then.
    if (writing_ || pumping_ || finished_) return;
    sender_->Post([self = shared_from_this()] { self->Pump(); });
  }

  void End(absl::Status status) override {
    {
      MutexLock lock(&mutex_);
      if (ending_.has_value()) return;
      ending_ = std::move(status);
    }
    Wake();
  }

  void WhenEnded(std::function<void(const absl::Status&)> ended) override {
    MutexLock lock(&mutex_);
    ended_ = std::move(ended);
  }

  // The client's next message.
  void Receive(const std::string& bytes) {
    std::shared_ptr<Conversation> conversation;
    {
      MutexLock lock(&mutex_);
      conversation = conversation_;
    }
    if (conversation == nullptr) return;
    if (absl::Status status = conversation->Receive(bytes); !status.ok()) End(status);
  }

  void WriteDone(bool ok) {
    {
      MutexLock lock(&mutex_);
      writing_ = false;
      wake_pending_ = true;
      if (!ok && !ending_.has_value()) ending_ = absl::CancelledError("the client is gone");
    }
    Pump();
  }

  // The call is over: the conversation is let go.
  void Detach() {
    std::shared_ptr<Conversation> ended;
    MutexLock lock(&mutex_);
    ended.swap(conversation_);
  }

 private:
  // Sends what there is, one message at a time. One thread pumps; who comes meanwhile only leaves
  // word. gRPC may run a write's completion inside the call that starts it, so neither Write nor
  // Finish is called with the lock held; the reactor cannot go away meanwhile, because only the
  // pump ends the call.
  void Pump() {
    const std::shared_ptr<GrpcStream> self = shared_from_this();
    {
      MutexLock lock(&mutex_);
      if (pumping_) return;
      pumping_ = true;
    }
    while (true) {
      std::shared_ptr<Conversation> conversation;
      bool read = false;
      {
        MutexLock lock(&mutex_);
        if (!wake_pending_ || writing_ || finished_) {
          pumping_ = false;
          return;
        }
        wake_pending_ = false;
        conversation = conversation_;
        read = std::exchange(read_pending_, false);
      }
      if (read) port_->Read();
      WatchFrame frame;
      if (conversation != nullptr) frame = conversation->Next();
      std::optional<absl::Status> finish;
      std::function<void(const absl::Status&)> ended;
      {
        MutexLock lock(&mutex_);
        if (!frame.empty()) {
          writing_ = true;
        } else if (ending_.has_value() && !wake_pending_) {
          finished_ = true;
          finish = ending_;
          ended = std::move(ended_);
        }
      }
      if (!frame.empty()) {
        port_->Write(ToByteBuffer(frame));
      } else if (finish.has_value()) {
        if (ended != nullptr) ended(*finish);
        port_->Finish(ToGrpc(*finish));
      }
    }
  }

  Port* const port_;  // There until the pump has finished the call.
  Executor* const sender_;
  Mutex mutex_;
  std::shared_ptr<Conversation> conversation_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> ending_ ABSL_GUARDED_BY(mutex_);
  std::function<void(const absl::Status&)> ended_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool pumping_ ABSL_GUARDED_BY(mutex_) = false;
  bool wake_pending_ ABSL_GUARDED_BY(mutex_) = false;
  bool read_pending_ ABSL_GUARDED_BY(mutex_) = false;
};

class WriteReactor : public grpc::ServerWriteReactor<grpc::ByteBuffer>, private GrpcStream::Port {
 public:
  explicit WriteReactor(Executor* sender)
      : stream_(std::make_shared<GrpcStream>(static_cast<GrpcStream::Port*>(this), sender)) {}

  const std::shared_ptr<GrpcStream>& stream() const { return stream_; }

  void OnWriteDone(bool ok) override { stream_->WriteDone(ok); }
  void OnCancel() override { stream_->End(absl::CancelledError("the client is gone")); }
  void OnDone() override {
    stream_->Detach();
    delete this;
  }

 private:
  void Write(grpc::ByteBuffer message) override {
    message_ = std::move(message);
    StartWrite(&message_);
  }
  void Finish(grpc::Status status) override {
    grpc::ServerWriteReactor<grpc::ByteBuffer>::Finish(std::move(status));
  }

  const std::shared_ptr<GrpcStream> stream_;
  grpc::ByteBuffer message_;
};

class BidiReactor : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                    private GrpcStream::Port {
 public:
  explicit BidiReactor(Executor* sender)
      : stream_(std::make_shared<GrpcStream>(static_cast<GrpcStream::Port*>(this), sender)) {}

  const std::shared_ptr<GrpcStream>& stream() const { return stream_; }

  void Read() override { StartRead(&received_); }
  void OnReadDone(bool ok) override {
    if (!ok) return stream_->End(absl::OkStatus());
    const std::optional<std::string> bytes = MessageIn(received_);
    if (!bytes.has_value()) return stream_->End(NoMessage());
    stream_->Receive(*bytes);
    StartRead(&received_);
  }
  void OnWriteDone(bool ok) override { stream_->WriteDone(ok); }
  void OnCancel() override { stream_->End(absl::CancelledError("the client is gone")); }
  void OnDone() override {
    stream_->Detach();
    delete this;
  }

 private:
  void Write(grpc::ByteBuffer message) override {
    message_ = std::move(message);
    StartWrite(&message_);
  }
  void Finish(grpc::Status status) override {
    grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>::Finish(std::move(status));
  }

  const std::shared_ptr<GrpcStream> stream_;
  grpc::ByteBuffer received_;
  grpc::ByteBuffer message_;
};

// A gRPC service made from a descriptor: what generated code would be, with bytes for messages.
class DescribedService : public grpc::Service {
 public:
  DescribedService(Dispatcher* dispatcher, PeerKeys* peers, Executor* sender) {
    using grpc::internal::RpcMethod;
    int index = 0;
    for (const Method& method : MethodsOf(dispatcher->service())) {
      const bool bidirectional = method.descriptor->client_streaming();
      const RpcMethod::RpcType type = bidirectional ? RpcMethod::BIDI_STREAMING
                                      : method.descriptor->server_streaming()
                                          ? RpcMethod::SERVER_STREAMING
                                          : RpcMethod::NORMAL_RPC;
      AddMethod(new grpc::internal::RpcServiceMethod(method.path.c_str(), type, nullptr));
      MarkMethodRawCallback(index++, MakeHandler(&method, type, dispatcher, peers, sender));
    }
  }

 private:
  static grpc::internal::MethodHandler* MakeHandler(const Method* method,
                                                    grpc::internal::RpcMethod::RpcType type,
                                                    Dispatcher* dispatcher, PeerKeys* peers,
                                                    Executor* sender) {
    using Bytes = grpc::ByteBuffer;
    using grpc::internal::RpcMethod;
    switch (type) {
      case RpcMethod::BIDI_STREAMING:
        return new grpc::internal::CallbackBidiHandler<Bytes, Bytes>(
            [=](grpc::CallbackServerContext* context) {
              auto* reactor = new BidiReactor(sender);
              dispatcher->Open(Describe(*method, *context, peers), "", reactor->stream());
              return reactor;
            });
      case RpcMethod::SERVER_STREAMING:
        return new grpc::internal::CallbackServerStreamingHandler<Bytes, Bytes>(
            [=](grpc::CallbackServerContext* context, const Bytes* request) {
              auto* reactor = new WriteReactor(sender);
              const std::optional<std::string> bytes = MessageIn(*request);
              if (bytes.has_value()) {
                dispatcher->Open(Describe(*method, *context, peers), *bytes, reactor->stream());
              } else {
                reactor->stream()->End(NoMessage());
              }
              return reactor;
            });
      default:
        return new grpc::internal::CallbackUnaryHandler<Bytes, Bytes>(
            [=](grpc::CallbackServerContext* context, const Bytes* request, Bytes* response) {
              grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
              const std::optional<std::string> bytes = MessageIn(*request);
              if (!bytes.has_value()) {
                reactor->Finish(ToGrpc(NoMessage()));
                return reactor;
              }
              dispatcher->Unary(Describe(*method, *context, peers), *bytes,
                                [reactor, response](absl::StatusOr<std::string> answer) {
                                  if (answer.ok()) {
                                    const grpc::Slice slice(*answer);
                                    *response = Bytes(&slice, 1);
                                  }
                                  reactor->Finish(ToGrpc(answer.status()));
                                });
              return reactor;
            });
    }
  }
};

class GrpcServer : public Server {
 public:
  ~GrpcServer() override {
    if (server_ == nullptr) return;
    SetServing(false);
    server_->Shutdown(gpr_time_add(
        gpr_now(GPR_CLOCK_MONOTONIC),
        gpr_time_from_millis(absl::ToInt64Milliseconds(kShutdownGrace), GPR_TIMESPAN)));
    server_->Wait();
  }

  int port() const override { return port_; }

  void SetServing(bool serving) override {
    server_->GetHealthCheckService()->SetServingStatus(serving);
    for (const std::string& name : names_) {
      server_->GetHealthCheckService()->SetServingStatus(name, serving);
    }
  }

  PeerKeys peers_;
  ThreadExecutor sender_{"streams"};
  std::list<DescribedService> services_;
  std::vector<std::string> names_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Options& options,
                                                      std::vector<Dispatcher*> dispatchers) {
  auto server = std::make_unique<GrpcServer>();
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  for (Dispatcher* dispatcher : dispatchers) {
    if (absl::Status status = dispatcher->Check(); !status.ok()) return status;
    server->names_.push_back(dispatcher->service().full_name());
    builder.RegisterService(
        &server->services_.emplace_back(dispatcher, &server->peers_, &server->sender_));
  }
  grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  tls.pem_key_cert_pairs.push_back({options.private_key_pem, options.certificate_pem});
  builder.AddListeningPort(options.address, grpc::SslServerCredentials(tls), &server->port_);
  builder.SetMaxReceiveMessageSize(kMessageBytesMax);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 15'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || server->port_ == 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", options.address,
                     ": the address is in use or not this machine's; see: ss -ltnp"));
  }
  server->SetServing(false);
  return server;
}

void PrepareGrpc() {
  // Debian's gRPC has no setting for the lowest version. A TLS 1.2 suite that needs an RSA key,
  // which no Berth server has, leaves only those of 1.3.
  setenv("GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES256-GCM-SHA384", 1);
  // Debian builds Abseil as for debugging: each of gRPC's mutexes notes in a graph which ones are
  // locked with it.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

}  // namespace berth::rpc
