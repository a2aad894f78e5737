#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/dispatcher.h"
#include "common/watch/watch_hub.h"
#include "integration/simulation/process.h"

namespace berth::simulation {

// In the place of a service that a world does without: one of its watches, which says the same for
// ever. For one life of a process.
class FixedWatch {
 public:
  // The watch that takes Request. What is passed in outlives it.
  template <typename Request>
  static std::unique_ptr<FixedWatch> Of(Life* life, rpc::AccessView* access, TopicEntries entries) {
    std::unique_ptr<FixedWatch> watch(new FixedWatch(Request::descriptor()->file()->service(0),
                                                     life, access, std::move(entries)));
    watch->dispatcher_.Streaming<Request, watch::v1::WatchResponse>(
        [watch = watch.get()](const rpc::Call&, const Request& request,
                              const std::shared_ptr<rpc::Stream>& stream) {
          watch->Serve(request.has_resume(), stream);
        });
    return watch;
  }

  rpc::Dispatcher* dispatcher() { return &dispatcher_; }

 private:
  FixedWatch(const google::protobuf::ServiceDescriptor* service, Life* life,
             rpc::AccessView* access, TopicEntries entries);

  void Serve(bool resumes, const std::shared_ptr<rpc::Stream>& stream);
  void MarkIdle();

  Executor* const executor_;
  const TopicEntries entries_;
  WatchHub hub_;
  rpc::Dispatcher dispatcher_;
};

}  // namespace berth::simulation
