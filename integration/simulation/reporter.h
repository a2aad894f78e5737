#pragma once

#include <functional>
#include <utility>

#include "common/executor/executor.h"
#include "integration/simulation/process.h"

namespace berth::simulation {

// Sends reports, one at a time, as agents and edges do it: on every change, and every few seconds.
// For one life of a process.
class Reporter {
 public:
  // `send` sends one of how things are then, and says once it was answered.
  Reporter(Life* life, std::function<void(std::function<void()> answered)> send)
      : executor_(life->NewExecutor()), send_(std::move(send)) {
    Tick();
  }

  // Something has changed.
  void Report() {
    executor_->Post([this] { Send(); });
  }

 private:
  static constexpr absl::Duration kInterval = absl::Seconds(5);

  void Tick() {
    Report();
    executor_->PostAfter(kInterval, [this] { Tick(); });
  }

  void Send() {
    due_ = std::exchange(under_way_, true);
    if (due_) return;
    send_([this] {
      under_way_ = false;
      if (due_) Report();
    });
  }

  Executor* const executor_;
  const std::function<void(std::function<void()>)> send_;
  bool under_way_ = false;
  bool due_ = false;
};

}  // namespace berth::simulation
