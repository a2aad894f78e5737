#pragma once

#include <memory>
#include <string>

#include "common/rpc/access_view.h"
#include "common/rpc/subscription.h"

namespace berth::rpc {

// Keeps the view of a process without auth as auth's access watch says. Before the first snapshot
// the gate knows nobody and refuses; afterwards it works from memory while auth is away, and goes
// on from the last revision when auth is back. Lives on its executor, as a Subscription does; the
// view outlives it.
class AccessSubscription {
 public:
  AccessSubscription(Subscription::Opener opener, AccessView* view, Executor* executor,
                     IdSource* ids);

  // The watch over a channel that leads to auth.
  static Subscription::Opener Over(std::shared_ptr<Channel> channel);

  void Start() { subscription_.Start(); }

 private:
  void Updated(const WatchClient::Update& update);

  AccessView* const view_;
  Subscription subscription_;
};

}  // namespace berth::rpc
