#include "integration/bench/rpc_load.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/sync/mutex.h"

namespace berth::bench {
namespace {

constexpr absl::Duration kCallMax = absl::Seconds(30);
// Every so many calls one is timed for the percentiles.
constexpr uint64_t kSampleEvery = 16;

// What the clients share. Its mutex is taken once for each call.
class Run {
 public:
  Run(const LoadTarget& target, absl::Time end) : target_(target), end_(end) {}

  // A client that makes call after call until the time is over.
  void Client(grpc::GenericStub* stub) {
    Begin();
    Call(stub, [this, stub] { Next(stub); });
  }

  // One call.
  void Once(grpc::GenericStub* stub) {
    Begin();
    Call(stub, [this] { End(); });
  }

  void AwaitMoment(absl::Time moment) {
    MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout([] { return false; }, moment - absl::Now());
  }

  Load Wait() {
    MutexLock lock(&mutex_);
    mutex_.Await([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return clients_ == 0; });
    if (!error_.empty()) throw std::runtime_error(target_.method + ": " + error_);
    return std::move(load_);
  }

 private:
  void Begin() {
    MutexLock lock(&mutex_);
    ++clients_;
  }

  void End() {
    MutexLock lock(&mutex_);
    --clients_;
  }

  void Next(grpc::GenericStub* stub) {
    {
      MutexLock lock(&mutex_);
      if (!error_.empty() || absl::Now() >= end_) {
        --clients_;
        return;
      }
    }
    Call(stub, [this, stub] { Next(stub); });
  }

  void Call(grpc::GenericStub* stub, std::function<void()> then) {
    struct Pending {
      grpc::ClientContext context;
      grpc::ByteBuffer request;
      grpc::ByteBuffer response;
      absl::Time begin = absl::Now();
    };
    auto call = std::make_shared<Pending>();
    const uint64_t number = number_++;
    call->context.set_deadline(absl::ToChronoTime(call->begin + kCallMax));
    for (const auto& [key, value] : target_.metadata) call->context.AddMetadata(key, value);
    if (!target_.call_key.empty()) {
      call->context.AddMetadata(target_.call_key, absl::StrCat("load-", run_, "-", number));
    }
    call->request = ToByteBuffer(target_.request(number));
    stub->UnaryCall(&call->context, target_.method, {}, &call->request, &call->response,
                    [this, call, number, then = std::move(then)](const grpc::Status& status) {
                      Answered(status, number, absl::Now() - call->begin);
                      then();
                    });
  }

  void Answered(const grpc::Status& status, uint64_t number, absl::Duration took) {
    MutexLock lock(&mutex_);
    if (!status.ok()) {
      error_ = status.error_message();
      return;
    }
    ++load_.calls;
    if (number % kSampleEvery == 0) load_.latency.Add(took);
  }

  const LoadTarget& target_;
  const absl::Time end_;
  const int64_t run_ = absl::GetCurrentTimeNanos();  // So that no key of a call comes again.
  std::atomic<uint64_t> number_ = 0;
  Mutex mutex_;
  int clients_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string error_ ABSL_GUARDED_BY(mutex_);
  Load load_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

grpc::ByteBuffer ToByteBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  (void)buffer.Dump(&slices);
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

std::vector<grpc::GenericStub*> Connect(const std::string& address, const std::string& ca_pem,
                                        const std::string& server_name, int count) {
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = ca_pem;
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride(server_name);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // A connection for each channel.
  static auto& kept = *new std::vector<std::unique_ptr<grpc::GenericStub>>;
  std::vector<grpc::GenericStub*> stubs;
  for (int i = 0; i < count; ++i) {
    const std::shared_ptr<grpc::Channel> channel =
        grpc::CreateCustomChannel(address, grpc::SslCredentials(tls), arguments);
    if (!channel->WaitForConnected(absl::ToChronoTime(absl::Now() + kCallMax))) {
      throw std::runtime_error("no connection to " + address);
    }
    stubs.push_back(kept.emplace_back(std::make_unique<grpc::GenericStub>(channel)).get());
  }
  return stubs;
}

Load CallFor(const LoadTarget& target, int clients, int connections, absl::Duration time) {
  const auto stubs = Connect(target.address, target.ca_pem, target.server_name, connections);
  Run run(target, absl::Now() + time);
  for (int i = 0; i < clients; ++i) run.Client(stubs[static_cast<size_t>(i) % stubs.size()]);
  return run.Wait();
}

Load CallAtRate(const LoadTarget& target, double calls_per_second, int connections,
                absl::Duration time) {
  const auto stubs = Connect(target.address, target.ca_pem, target.server_name, connections);
  const absl::Time begin = absl::Now();
  Run run(target, absl::InfinitePast());
  for (int i = 0; begin + i * absl::Seconds(1 / calls_per_second) < begin + time; ++i) {
    run.AwaitMoment(begin + i * absl::Seconds(1 / calls_per_second));
    run.Once(stubs[static_cast<size_t>(i) % stubs.size()]);
  }
  return run.Wait();
}

}  // namespace berth::bench
