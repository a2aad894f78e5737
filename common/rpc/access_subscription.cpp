#include "common/rpc/access_subscription.h"

#include <optional>
#include <utility>

#include "berth/auth/v1/auth.pb.h"

namespace berth::rpc {

AccessSubscription::AccessSubscription(Subscription::Opener opener, AccessView* view,
                                       Executor* executor, IdSource* ids)
    : view_(view),
      subscription_("access", std::move(opener), WatchClient(), executor, ids,
                    [this](const WatchClient::Update& update) { Updated(update); }) {
  subscription_.SetRetryDelayMax(Subscription::kServiceRetryDelayMax);
}

Subscription::Opener AccessSubscription::Over(std::shared_ptr<Channel> channel) {
  return [channel = std::move(channel)](const auto& resume, auto received, auto ended) {
    auth::v1::WatchAccessRequest request;
    if (resume.has_value()) *request.mutable_resume() = *resume;
    return channel->Open<watch::v1::WatchResponse>(request, std::move(received), std::move(ended));
  };
}

void AccessSubscription::Updated(const WatchClient::Update& update) {
  if (!update.revision.has_value()) return;
  const WatchClient::Entries& entries = subscription_.client().entries();
  if (update.snapshot) {
    view_->Replace({entries.begin(), entries.end()});
  } else {
    for (const std::string& key : update.keys) {
      const auto entry = entries.find(key);
      view_->Set(key, entry == entries.end() ? std::nullopt : std::optional(entry->second));
    }
  }
  view_->Advance(update.revision->position());
}

}  // namespace berth::rpc
