#include "edge/data_plane.h"

#include <pthread.h>

#include <algorithm>
#include <iterator>
#include <latch>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/status/status_macros.h"
#include "common/sync/mutex.h"

namespace berth::edge {

absl::StatusOr<std::unique_ptr<DataPlane>> DataPlane::Create(const DataPlaneOptions& options,
                                                             const Clock* clock,
                                                             UpstreamRegistry* registry) {
  if (options.loops == 0) return absl::InvalidArgumentError("the edge needs at least one loop");
  if (options.connections_max < options.loops) {
    return absl::InvalidArgumentError(absl::StrCat("connections_max is ", options.connections_max,
                                                   "; it must be at least the number of loops, ",
                                                   options.loops));
  }
  std::unique_ptr<DataPlane> plane(new DataPlane);
  const ProxyLoop::Options loop_options{options.listen_ip, options.connections_max / options.loops,
                                        options.timeouts};
  for (size_t i = 0; i < options.loops; ++i) {
    BERTH_ASSIGN_OR_RETURN(std::unique_ptr<ProxyLoop> loop,
                           ProxyLoop::Create(loop_options, clock, registry));
    plane->loops_.push_back(std::move(loop));
  }
  plane->loops_.front()->ProbeUpstreams(options.probe_interval);
  for (const std::unique_ptr<ProxyLoop>& loop : plane->loops_) {
    plane->threads_.emplace_back([&loop] { loop->Run(); });
    const std::string name = absl::StrCat("edge-", plane->threads_.size());
    pthread_setname_np(plane->threads_.back().native_handle(), name.c_str());
  }
  return plane;
}

DataPlane::~DataPlane() {
  for (const std::unique_ptr<ProxyLoop>& loop : loops_) loop->Stop();
  for (std::thread& thread : threads_) thread.join();
}

void DataPlane::Apply(std::shared_ptr<const RouteTable> table) {
  OnEveryLoop([&table](ProxyLoop* loop) { loop->SetTable(table); });
}

std::vector<UniqueFd> DataPlane::DuplicateListeners() {
  Mutex mutex;
  std::vector<UniqueFd> sockets;
  OnEveryLoop([&](ProxyLoop* loop) {
    std::vector<UniqueFd> of_loop = loop->DuplicateListeners();
    const MutexLock lock(&mutex);
    std::move(of_loop.begin(), of_loop.end(), std::back_inserter(sockets));
  });
  return sockets;
}

absl::Status DataPlane::Adopt(std::vector<UniqueFd> sockets) {
  // Sockets of one loop of the old process stand together, so that with as many loops as there each
  // gets one for every port.
  const size_t per_loop = (sockets.size() + loops_.size() - 1) / loops_.size();
  Mutex mutex;
  absl::Status status;
  OnEveryLoop([&](ProxyLoop* loop) {
    const MutexLock lock(&mutex);
    for (size_t i = 0; i < per_loop && !sockets.empty(); ++i) {
      status.Update(loop->Adopt(std::move(sockets.back())));
      sockets.pop_back();
    }
  });
  return status;
}

void DataPlane::CloseUpstream(absl::string_view id) {
  OnEveryLoop([id](ProxyLoop* loop) { loop->CloseUpstream(id); });
}

void DataPlane::StopAccepting() {
  OnEveryLoop([](ProxyLoop* loop) { loop->StopAccepting(); });
}

size_t DataPlane::Drain(absl::Duration drain_max) {
  StopAccepting();
  Mutex mutex;
  size_t loops_left = loops_.size();
  OnEveryLoop([&](ProxyLoop* loop) {
    loop->WhenEmpty([&] {
      const MutexLock lock(&mutex);
      --loops_left;
    });
  });
  {
    const MutexLock lock(&mutex);
    mutex.AwaitWithTimeout([&loops_left] { return loops_left == 0; }, drain_max);
  }
  OnEveryLoop([](ProxyLoop* loop) {
    // What it calls lives in this function only.
    loop->WhenEmpty(nullptr);
    loop->CloseAll();
  });
  return Counts()[Count::kClosedAtEnd];
}

void DataPlane::OnEveryLoop(const std::function<void(ProxyLoop*)>& step) {
  std::latch left(static_cast<std::ptrdiff_t>(loops_.size()));
  for (const std::unique_ptr<ProxyLoop>& loop : loops_) {
    loop->Post([&step, &left, loop = loop.get()] {
      step(loop);
      left.count_down();
    });
  }
  left.wait();
}

std::map<uint16_t, std::string> DataPlane::ListenerProblems() const {
  std::map<uint16_t, std::string> problems;
  for (const std::unique_ptr<ProxyLoop>& loop : loops_) problems.merge(loop->ListenerProblems());
  return problems;
}

CounterSnapshot DataPlane::Counts() const {
  CounterSnapshot sum;
  for (const std::unique_ptr<ProxyLoop>& loop : loops_) loop->counters().AddTo(&sum);
  return sum;
}

}  // namespace berth::edge
