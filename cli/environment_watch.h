#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "berth/types/v1/types.pb.h"
#include "cli/environment_view.h"
#include "cli/foreground.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "common/clock/system_clock.h"
#include "common/ids/random_id_source.h"
#include "common/rpc/channel.h"

namespace berth::cli {

// Follows an environment in the foreground and shows how it changes, under a title.
class EnvironmentWatch {
 public:
  EnvironmentWatch(types::v1::EnvironmentName environment, const std::string& title,
                   std::shared_ptr<rpc::Channel> channel, const Output& output);

  // Until `is_over` says so of what is seen. kCancelled: Ctrl-C; kDeadlineExceeded: `timeout` has
  // passed; else what trying again will not mend.
  absl::Status Wait(absl::Duration timeout, std::function<bool(const EnvironmentView&)> is_over);

  const EnvironmentView& view() const { return view_; }
  absl::Duration elapsed() const { return clock_.Monotonic() - start_; }

 private:
  void Take(const WatchClient::Entries& entries);
  void Stop(const absl::Status& why);
  void RedrawLater();

  const types::v1::EnvironmentName environment_;
  const std::shared_ptr<rpc::Channel> channel_;
  const SystemClock clock_;
  const absl::Duration start_;
  const bool redraw_;
  RandomIdSource ids_;
  Foreground foreground_;
  Progress progress_;
  EnvironmentView view_;
  std::function<bool(const EnvironmentView&)> is_over_;
  absl::Status broken_;
};

}  // namespace berth::cli
