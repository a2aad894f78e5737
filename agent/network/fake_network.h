#pragma once

#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "agent/network/network.h"
#include "common/sync/mutex.h"

namespace berth {

// A network that only remembers what it was asked for. Thread-safe.
class FakeNetwork : public Network {
 public:
  explicit FakeNetwork(std::string name = "berth") : name_(std::move(name)) {}

  absl::Status EnsureNetwork(const HostPrefix& prefix) override {
    MutexLock lock(&mutex_);
    if (!next_error_.ok()) return std::exchange(next_error_, absl::OkStatus());
    if (prefix_ && prefix_->ipv6 != prefix.ipv6 && in_use_) {
      return absl::FailedPreconditionError("network " + name_ + " has prefix " + prefix_->ipv6 +
                                           " and instances are attached to it");
    }
    prefix_ = prefix;
    return absl::OkStatus();
  }

  absl::Status KeepHardwareAddress() override { return Interface().status(); }

  std::string name() const override { return name_; }

  absl::StatusOr<std::string> Interface() override {
    MutexLock lock(&mutex_);
    if (!prefix_) return absl::NotFoundError("there is no network " + name_);
    return name_ + "0";
  }

  // The next EnsureNetwork fails so.
  void FailNext(absl::Status error) {
    MutexLock lock(&mutex_);
    next_error_ = std::move(error);
  }

  void SetInUse(bool in_use) {
    MutexLock lock(&mutex_);
    in_use_ = in_use;
  }

  std::optional<HostPrefix> prefix() const {
    MutexLock lock(&mutex_);
    return prefix_;
  }

 private:
  const std::string name_;
  mutable Mutex mutex_;
  std::optional<HostPrefix> prefix_ ABSL_GUARDED_BY(mutex_);
  absl::Status next_error_ ABSL_GUARDED_BY(mutex_);
  bool in_use_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace berth
