#include "integration/simulation/fixed_watch.h"

#include "common/eventlog/log_writer.h"

namespace berth::simulation {
namespace {

constexpr char kTopic[] = "all";

// The only revision there is.
watch::v1::Revision OnlyRevision() {
  constexpr size_t kHashSize = 16;
  watch::v1::Revision revision;
  revision.set_position(1);
  revision.set_hash(std::string(kHashSize, '\1'));
  return revision;
}

class FixedConversation : public rpc::Conversation {
 public:
  explicit FixedConversation(std::shared_ptr<Watcher> watcher) : watcher_(std::move(watcher)) {}
  WatchFrame Next() override { return watcher_->Next(); }

 private:
  const std::shared_ptr<Watcher> watcher_;
};

}  // namespace

FixedWatch::FixedWatch(const google::protobuf::ServiceDescriptor* service, Life* life,
                       rpc::AccessView* access, TopicEntries entries)
    : executor_(life->NewExecutor()),
      entries_(std::move(entries)),
      hub_(WatchHub::Limits(), [](const std::shared_ptr<Watcher>&) {}),
      dispatcher_(service, access, executor_, life->clock(),
                  [](const CommandOrigin&, const absl::Status&,
                     const std::function<void(absl::Status)>& done) { done(absl::OkStatus()); }) {
  hub_.Publish(OnlyRevision(), {});
  MarkIdle();
}

void FixedWatch::Serve(bool resumes, const std::shared_ptr<rpc::Stream>& stream) {
  const auto watcher =
      std::make_shared<Watcher>(kTopic, [weak = std::weak_ptr<rpc::Stream>(stream)] {
        if (const std::shared_ptr<rpc::Stream> alive = weak.lock()) alive->Wake();
      });
  if (!resumes || !hub_.Resume(watcher, OnlyRevision())) {
    hub_.Snapshot(watcher, OnlyRevision(), false, [this] { return entries_; });
  }
  stream->Begin(std::make_shared<FixedConversation>(watcher));
}

void FixedWatch::MarkIdle() {
  hub_.MarkIdle();
  executor_->PostAfter(LogWriter::Limits().bookmark_interval, [this] { MarkIdle(); });
}

}  // namespace berth::simulation
