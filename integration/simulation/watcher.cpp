#include "integration/simulation/watcher.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace berth::simulation {

struct Watcher::Running {
  std::optional<rpc::Subscription> subscription;
  std::shared_ptr<void> more;
};

Watcher::Watcher(World* world, Network* network, Options options)
    : world_(world),
      network_(network),
      options_(std::move(options)),
      process_(world, options_.name, [this](Life* life) {
        auto running = std::make_shared<Running>();
        const rpc::Subscription::Opener inner =
            options_.open(network_->Connect(life, options_.credentials, options_.servers));
        const rpc::Subscription::Opener noted =
            [this, inner](const std::optional<watch::v1::Revision>& resume,
                          std::function<void(const watch::v1::WatchResponse&)> received,
                          std::function<void(absl::Status)> ended) {
              watched_.push_back({Watched::Kind::kOpened, world_->now(), resume, {}});
              return inner(
                  resume,
                  [this, received](const watch::v1::WatchResponse& message) {
                    watched_.push_back({Watched::Kind::kMessage, world_->now(), {}, message});
                    received(message);
                  },
                  std::move(ended));
            };
        running->subscription.emplace(
            options_.name, noted, kept_, life->NewExecutor(), life->ids(),
            [this, running = running.get()](const WatchClient::Update&) {
              kept_ = running->subscription->client();
              kept_.StreamEnded();
              if (options_.updated != nullptr) options_.updated(kept_);
            },
            [this](const absl::Status& status) {
              // Its own checks are among what is tested.
              if (absl::IsDataLoss(status)) {
                world_->Fail(absl::StrCat(options_.name, ": ", status.ToString()));
              }
            });
        if (options_.begin != nullptr) running->more = options_.begin(life);
        running->subscription->Start();
        return running;
      }) {
  network->Attach(&process_);
}

WatchHistory Watcher::History() const {
  return {options_.name, options_.stream, options_.topic,
          network_->MessagesBroughtTo(options_.name), watched_};
}

}  // namespace berth::simulation
