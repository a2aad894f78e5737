#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "berth/watch/v1/watch.pb.h"
#include "common/executor/executor.h"
#include "common/ids/id_source.h"
#include "common/rpc/channel.h"
#include "common/watch/watch_client.h"

namespace berth::rpc {

// Follows a watch for as long as it lives: connects, resumes where it left, and after an error
// tries again with a growing, fully jittered delay. Lives on its executor: made, called back and
// destroyed there, or destroyed after the executor has stopped.
class Subscription {
 public:
  static constexpr absl::Duration kRetryDelayMin = absl::Milliseconds(100);
  static constexpr absl::Duration kRetryDelayMax = absl::Seconds(10);
  // Of a service that follows another: there are few, and while one waits it lets nobody in.
  static constexpr absl::Duration kServiceRetryDelayMax = absl::Seconds(2);
  // A stream that brings nothing, not even a bookmark, for so long is given up; one that has
  // brought nothing yet, although a watch begins with a message at once, sooner.
  static constexpr absl::Duration kSilenceMax = absl::Seconds(30);
  static constexpr absl::Duration kFirstMessageMax = absl::Seconds(10);

  // Opens the watch's stream, from `resume` where there is one.
  using Opener = std::function<std::unique_ptr<ClientStream>(
      const std::optional<watch::v1::Revision>& resume,
      std::function<void(const watch::v1::WatchResponse&)> received,
      std::function<void(absl::Status)> ended)>;

  // Opens the watch that takes Request over the channel; the other fields are as in `request`.
  template <typename Request>
  static Opener Over(std::shared_ptr<Channel> channel, Request request = {}) {
    return [channel = std::move(channel), request](const auto& resume, auto received,
                                                   auto ended) mutable {
      request.clear_resume();
      if (resume.has_value()) *request.mutable_resume() = *resume;
      return channel->template Open<watch::v1::WatchResponse>(request, std::move(received),
                                                              std::move(ended));
    };
  }

  // `updated` gets every message's effect; what it returned to may be asked of client().
  // `disconnected` (may be empty) is told why a stream ended, each time.
  Subscription(std::string name, Opener opener, WatchClient client, Executor* executor,
               IdSource* ids, std::function<void(const WatchClient::Update&)> updated,
               std::function<void(const absl::Status&)> disconnected = nullptr);
  ~Subscription();

  // Instead of kRetryDelayMax. Before Start.
  void SetRetryDelayMax(absl::Duration delay) { retry_delay_max_ = delay; }

  void Start() { Connect(); }

  // Begins anew from a snapshot: what was received could not be used.
  void Restart();

  const WatchClient& client() const { return client_; }

 private:
  void Connect();
  void Received(const watch::v1::WatchResponse& message);
  void Ended(const absl::Status& status);
  void WatchSilence(uint64_t generation, uint64_t messages, absl::Duration silence_max);

  const std::string name_;
  const Opener opener_;
  WatchClient client_;
  Executor* const executor_;
  IdSource* const ids_;
  const std::function<void(const WatchClient::Update&)> updated_;
  const std::function<void(const absl::Status&)> disconnected_;

  absl::Duration retry_delay_max_ = kRetryDelayMax;
  // Steps that were posted for an earlier stream, or for a subscription that is gone, do nothing.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  uint64_t generation_ = 0;
  uint64_t messages_ = 0;
  int failures_ = 0;
  std::unique_ptr<ClientStream> stream_;
};

}  // namespace berth::rpc
