#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/runtime/driver.h"
#include "common/clock/clock.h"

namespace berth {

// A driver's calls, told to who measures them. Those that wait for an instance, FollowLog and
// WatchEvents, are passed on and not told of.
class MeasuredDriver : public Driver {
 public:
  // `operation` is one of few words, such as "start". Any thread, several at a time.
  using Told =
      std::function<void(absl::string_view operation, const absl::Status&, absl::Duration)>;

  // What `told` may be called with, in no particular order.
  static const std::vector<std::string>& Operations();

  // What is passed in outlives the driver.
  MeasuredDriver(Driver* driver, const Clock* clock, Told told)
      : driver_(driver), clock_(clock), told_(std::move(told)) {}

  absl::Status EnsureImage(const ImageRequest& request,
                           const std::function<void(absl::string_view)>& on_progress) override;
  absl::StatusOr<InstanceHandle> Start(const InstanceSpec& spec) override;
  absl::Status Stop(const InstanceHandle& handle, absl::Duration grace) override;
  absl::StatusOr<InstanceStatus> Inspect(const InstanceHandle& handle) override;
  absl::StatusOr<std::vector<InstanceRecord>> List() override;
  absl::Status Destroy(const InstanceHandle& handle) override;
  absl::StatusOr<std::vector<std::string>> TailLog(const InstanceHandle& handle,
                                                   int lines_max) override;
  absl::Status FollowLog(const InstanceHandle& handle, const LogQuery& query, std::stop_token stop,
                         const std::function<bool(const LogLine&)>& on_line) override;
  absl::StatusOr<ExecResult> Exec(const InstanceHandle& handle,
                                  const std::vector<std::string>& command,
                                  absl::Duration timeout) override;
  absl::StatusOr<std::unique_ptr<ExecStream>> OpenExec(const InstanceHandle& handle,
                                                       const ExecSpec& spec) override;
  absl::StatusOr<std::vector<LocalImage>> LocalImages() override;
  absl::StatusOr<DriverFacts> Facts() override;
  absl::Status WatchEvents(std::stop_token stop, const DriverEvents& events) override;

 private:
  template <typename Call>
  auto Measure(absl::string_view operation, Call call);

  Driver* const driver_;
  const Clock* const clock_;
  const Told told_;
};

}  // namespace berth
