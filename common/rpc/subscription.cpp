#include "common/rpc/subscription.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/log/log.h"

namespace berth::rpc {

Subscription::Subscription(std::string name, Opener opener, WatchClient client, Executor* executor,
                           IdSource* ids, std::function<void(const WatchClient::Update&)> updated,
                           std::function<void(const absl::Status&)> disconnected)
    : name_(std::move(name)),
      opener_(std::move(opener)),
      client_(std::move(client)),
      executor_(executor),
      ids_(ids),
      updated_(std::move(updated)),
      disconnected_(std::move(disconnected)) {}

Subscription::~Subscription() { *alive_ = false; }

void Subscription::Restart() {
  client_ = WatchClient();
  Ended(absl::AbortedError("what it brought could not be used"));
}

void Subscription::Connect() {
  const uint64_t generation = ++generation_;
  // The callbacks run on gRPC's threads; what they bring is handled on the executor.
  auto post = [this, alive = alive_, generation](std::function<void()> step) {
    executor_->Post([this, alive, generation, step = std::move(step)] {
      if (*alive && generation == generation_) step();
    });
  };
  stream_ = opener_(
      client_.revision(),
      [this, post](const watch::v1::WatchResponse& message) {
        post([this, message] { Received(message); });
      },
      [this, post](absl::Status status) { post([this, status] { Ended(status); }); });
  WatchSilence(generation, messages_, kFirstMessageMax);
}

void Subscription::WatchSilence(uint64_t generation, uint64_t messages,
                                absl::Duration silence_max) {
  executor_->PostAfter(silence_max, [this, alive = alive_, generation, messages] {
    if (!*alive || generation != generation_) return;
    if (messages == messages_) {
      Ended(absl::DeadlineExceededError("the watch fell silent"));
    } else {
      WatchSilence(generation, messages_, kSilenceMax);
    }
  });
}

void Subscription::Received(const watch::v1::WatchResponse& message) {
  ++messages_;
  failures_ = 0;
  const absl::StatusOr<WatchClient::Update> update = client_.Receive(message);
  if (!update.ok()) {
    LogError("a watch was ended", {{"watch", name_}, {"why", update.status().message()}});
    Ended(update.status());
    return;
  }
  updated_(*update);
}

void Subscription::Ended(const absl::Status& status) {
  ++generation_;
  stream_.reset();
  client_.StreamEnded();
  if (disconnected_ != nullptr) disconnected_(status);
  // Once per outage: the next message resets the count.
  if (failures_++ == 0) {
    LogInfo("a watch ended and is tried again", {{"watch", name_},
                                                 {"code", absl::StatusCodeToString(status.code())},
                                                 {"why", status.message()}});
  }
  const absl::Duration ceiling =
      std::min(retry_delay_max_, kRetryDelayMin * (1 << std::min(failures_, 10)));
  // Full jitter: everybody who lost the same server comes back at another time.
  uint32_t random = 0;
  const std::string nonce = ids_->NewNonce();
  std::memcpy(&random, nonce.data(), sizeof(random));
  const absl::Duration delay = ceiling * (static_cast<double>(random) / 4294967296.0);
  executor_->PostAfter(delay, [this, alive = alive_, generation = generation_] {
    if (*alive && generation == generation_) Connect();
  });
}

}  // namespace berth::rpc
