#include "common/rpc/channel.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/alarm.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <deque>

#include "absl/base/thread_annotations.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "common/clock/system_clock.h"
#include "common/ids/random_id_source.h"
#include "common/rpc/grpc_status.h"
#include "common/rpc/leader_channel.h"
#include "common/rpc/server.h"
#include "common/sync/mutex.h"

namespace berth::rpc {
namespace {

constexpr char kServiceDomain[] = ".berth.internal";
constexpr int kKeepaliveMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
constexpr int kConnectMs = 5'000;
constexpr int kReconnectMinMs = 100;
constexpr int kReconnectMaxMs = 5'000;
// A connection that nothing uses is closed, as the one is that a machine joined over.
constexpr int kIdleMs = 30'000;
constexpr int kReceiveBytesMax = 4 << 20;

grpc::ByteBuffer ToByteBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

gpr_timespec After(absl::Duration delay) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_millis(absl::ToInt64Milliseconds(delay), GPR_TIMESPAN));
}

void RunAfter(absl::Duration delay, std::function<void()> step) {
  // It deletes itself: held by its own callback it would hold itself for ever.
  auto* const alarm = new grpc::Alarm();
  alarm->Set(After(delay), [alarm, step = std::move(step)](bool) {
    step();
    delete alarm;
  });
}

std::string ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// One streaming call. gRPC holds on to the reactor until OnDone; the ClientStream waits for that.
class StreamCall : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  StreamCall(std::function<absl::Status(const std::string&)> received,
             std::function<void(absl::Status)> ended)
      : received_(std::move(received)), ended_(std::move(ended)) {}

  void Begin(bool one_request, const std::string& request) {
    {
      MutexLock lock(&mutex_);
      busy_ = one_request;
      held_ = !one_request;
    }
    if (one_request) {
      writing_ = ToByteBuffer(request);
      StartWriteLast(&writing_, grpc::WriteOptions());
    } else {
      // Sends may come at any time: the call may not count as over before the stream is dropped.
      AddHold();
    }
    StartRead(&reading_);
    StartCall();
  }

  void Send(const std::string& bytes) {
    {
      MutexLock lock(&mutex_);
      if (!held_) return;
      waiting_.push_back(bytes);
    }
    WriteNext();
  }

  // Ends the call and waits until no callback runs any more.
  void EndAndWait() {
    context.TryCancel();
    ReleaseHold();
    done_.WaitForNotification();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      ReleaseHold();
      return;
    }
    const absl::Status status = received_(ToString(reading_));
    if (!status.ok()) {
      broken_ = status;
      context.TryCancel();
    }
    StartRead(&reading_);
  }

  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(&mutex_);
      busy_ = false;
    }
    if (ok) WriteNext();
  }

  void OnDone(const grpc::Status& status) override {
    ended_(broken_.ok() ? FromGrpc(status) : broken_);
    done_.Notify();
  }

  grpc::ClientContext context;

 private:
  // gRPC may run a write's completion inside StartWrite, so it is called without the lock, under a
  // hold of its own that keeps the call from ending meanwhile.
  void WriteNext() {
    {
      MutexLock lock(&mutex_);
      if (busy_ || waiting_.empty() || !held_) return;
      busy_ = true;
      writing_ = ToByteBuffer(waiting_.front());
      waiting_.pop_front();
      AddHold();
    }
    StartWrite(&writing_);
    RemoveHold();
  }

  void ReleaseHold() {
    {
      MutexLock lock(&mutex_);
      if (!held_) return;
      held_ = false;
    }
    RemoveHold();
  }

  const std::function<absl::Status(const std::string&)> received_;
  const std::function<void(absl::Status)> ended_;
  absl::Status broken_;
  grpc::ByteBuffer reading_;
  Mutex mutex_;
  grpc::ByteBuffer writing_;
  std::deque<std::string> waiting_ ABSL_GUARDED_BY(mutex_);
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Notification done_;
};

class GrpcClientStream : public ClientStream {
 public:
  explicit GrpcClientStream(std::unique_ptr<StreamCall> call) : call_(std::move(call)) {}
  ~GrpcClientStream() override { call_->EndAndWait(); }

  void Send(const std::string& bytes) override { call_->Send(bytes); }

 private:
  const std::unique_ptr<StreamCall> call_;
};

class GrpcChannel : public Channel {
 public:
  explicit GrpcChannel(const ChannelOptions& options) : token_(options.token) {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = options.ca_pem;
    tls.pem_cert_chain = options.certificate_pem;
    tls.pem_private_key = options.private_key_pem;
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride(absl::StrCat(options.service, kServiceDomain));
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMinMs);
    // Despite its name: how long making a connection may take, TLS included.
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMs);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
    arguments.SetInt(GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, kIdleMs);
    // Each channel is a connection of its own: two identities must not share one.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(kReceiveBytesMax);
    stub_ = std::make_unique<grpc::GenericStub>(
        grpc::CreateCustomChannel(options.address, grpc::SslCredentials(tls), arguments));
  }

  absl::StatusOr<std::string> CallBytes(const Method& method, const std::string& request,
                                        const CallOptions& options) override {
    absl::Notification done;
    absl::StatusOr<std::string> result;
    CallBytesAsync(method, request, options, [&](absl::StatusOr<std::string> bytes) {
      result = std::move(bytes);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }

  void CallBytesAsync(const Method& method, const std::string& request, const CallOptions& options,
                      std::function<void(absl::StatusOr<std::string>)> done) override {
    struct Unary {
      grpc::ClientContext context;
      grpc::ByteBuffer request;
      grpc::ByteBuffer response;
    };
    auto call = std::make_shared<Unary>();
    Prepare(&call->context);
    call->context.set_deadline(After(options.deadline));
    call->context.AddMetadata("berth-request-id",
                              options.request_id.empty()
                                  ? absl::BytesToHexString(RandomIdSource().NewNonce())
                                  : options.request_id);
    call->request = ToByteBuffer(request);
    stub_->UnaryCall(&call->context, method.path, {}, &call->request, &call->response,
                     [call, done = std::move(done)](grpc::Status status) {
                       if (!status.ok()) return done(FromGrpc(status));
                       done(ToString(call->response));
                     });
  }

  std::unique_ptr<ClientStream> OpenBytes(const Method& method, const std::string& request,
                                          std::function<absl::Status(const std::string&)> received,
                                          std::function<void(absl::Status)> ended) override {
    auto call = std::make_unique<StreamCall>(std::move(received), std::move(ended));
    Prepare(&call->context);
    stub_->PrepareBidiStreamingCall(&call->context, method.path, {}, call.get());
    call->Begin(!method.descriptor->client_streaming(), request);
    return std::make_unique<GrpcClientStream>(std::move(call));
  }

 private:
  void Prepare(grpc::ClientContext* context) {
    if (!token_.empty()) context->AddMetadata("authorization", absl::StrCat("Bearer ", token_));
  }

  const std::string token_;
  std::unique_ptr<grpc::GenericStub> stub_;
};

}  // namespace

std::shared_ptr<Channel> Channel::Open(const ChannelOptions& options) {
  static const SystemClock clock;
  static RandomIdSource ids;
  LeaderChannel::Dependencies with;
  with.clock = &clock;
  with.ids = &ids;
  with.open = [options](const std::string& address) {
    ChannelOptions one = options;
    one.address = address;
    return std::make_shared<GrpcChannel>(one);
  };
  with.run_after = RunAfter;
  std::shared_ptr<Channel> channel =
      std::make_shared<LeaderChannel>(absl::StrSplit(options.address, ','), std::move(with));
  // The first one is never closed. gRPC's threads for callbacks end with the last channel that used
  // them and begin with the next, and gRPC 1.51 aborts now and then where both happen at once.
  static const auto* const first = new std::shared_ptr<Channel>(channel);
  (void)first;
  return channel;
}

}  // namespace berth::rpc
