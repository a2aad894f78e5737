#include "integration/bench/watchers.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "absl/time/clock.h"
#include "common/sync/mutex.h"
#include "common/sync/notification.h"
#include "integration/bench/rpc_load.h"

namespace berth::bench {
namespace {

constexpr absl::Duration kBeginMax = absl::Seconds(60);
// Every so many deliveries one is timed for the percentiles.
constexpr uint64_t kSampleEvery = 64;

}  // namespace

std::string ValueOfNow(size_t bytes) {
  std::string value(bytes, 'x');
  const int64_t now = absl::GetCurrentTimeNanos();
  std::memcpy(value.data(), &now, sizeof(now));
  return value;
}

absl::Time WhenPut(const std::string& value) {
  int64_t put = 0;
  std::memcpy(&put, value.data(), std::min(sizeof(put), value.size()));
  return absl::FromUnixNanos(put);
}

// What the watches count into.
struct Watchers::Shared {
  WatchTarget target;
  std::vector<grpc::GenericStub*> stubs;
  std::atomic<int> begun = 0;
  std::atomic<uint64_t> deliveries = 0;
  mutable Mutex mutex;
  std::string error ABSL_GUARDED_BY(mutex);
  Samples latency ABSL_GUARDED_BY(mutex);
};

class Watchers::Watch : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Watch(Shared* shared, grpc::GenericStub* stub) : shared_(shared) {
    const WatchTarget& target = shared_->target;
    for (const auto& [key, value] : target.metadata) context_.AddMetadata(key, value);
    stub->PrepareBidiStreamingCall(&context_, target.method, {}, this);
    request_ = ToByteBuffer(target.request);
    AddHold();
    if (target.half_close) {
      StartWriteLast(&request_, grpc::WriteOptions());
    } else {
      StartWrite(&request_);
    }
    StartRead(&message_);
    StartCall();
  }

  void Stop() { stopped_ = true; }

  void End() {
    context_.TryCancel();
    RemoveHold();
    done_.WaitForNotification();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    const WatchTarget::Brought brought = shared_->target.read(ToString(message_));
    if (brought.begun) ++shared_->begun;
    const absl::Time now = absl::Now();
    const uint64_t before = shared_->deliveries.fetch_add(brought.changes.size());
    if ((before + brought.changes.size()) / kSampleEvery > before / kSampleEvery) {
      MutexLock lock(&shared_->mutex);
      shared_->latency.Add(now - WhenPut(brought.changes.front()));
    }
    // One that is stopped leaves the rest to flow control.
    if (!stopped_) StartRead(&message_);
  }

  void OnDone(const grpc::Status& status) override {
    if (status.error_code() != grpc::StatusCode::CANCELLED) {
      MutexLock lock(&shared_->mutex);
      shared_->error = status.error_message();
    }
    done_.Notify();
  }

 private:
  Shared* const shared_;
  grpc::ClientContext context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer message_;
  std::atomic<bool> stopped_ = false;
  Notification done_;
};

Watchers::Watchers(const WatchTarget& target, int count, int connections)
    : shared_(std::make_unique<Shared>()) {
  shared_->target = target;
  shared_->stubs = Connect(target.address, target.ca_pem, target.server_name, connections);
  for (int i = 0; i < count; ++i) {
    grpc::GenericStub* const stub = shared_->stubs[static_cast<size_t>(i) % shared_->stubs.size()];
    watches_.push_back(std::make_unique<Watch>(shared_.get(), stub));
  }
  const absl::Time end = absl::Now() + kBeginMax;
  while (shared_->begun < count) {
    MutexLock lock(&shared_->mutex);
    if (absl::Now() >= end || !shared_->error.empty()) {
      throw std::runtime_error(target.method + " does not begin: " + shared_->error);
    }
    shared_->mutex.AwaitWithTimeout([] { return false; }, absl::Milliseconds(10));
  }
}

Watchers::~Watchers() {
  for (const auto& watch : watches_) watch->End();
}

void Watchers::Stop(int count) {
  for (int i = 0; i < count; ++i) watches_[static_cast<size_t>(i)]->Stop();
}

void Watchers::CountAnew() {
  MutexLock lock(&shared_->mutex);
  shared_->deliveries = 0;
  shared_->latency = Samples();
}

uint64_t Watchers::deliveries() const { return shared_->deliveries; }

Samples Watchers::latency() const {
  MutexLock lock(&shared_->mutex);
  return shared_->latency;
}

}  // namespace berth::bench
