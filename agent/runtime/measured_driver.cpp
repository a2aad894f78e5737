#include "agent/runtime/measured_driver.h"

namespace berth {
namespace {

constexpr char kEnsureImage[] = "ensure_image";
constexpr char kStart[] = "start";
constexpr char kStop[] = "stop";
constexpr char kInspect[] = "inspect";
constexpr char kList[] = "list";
constexpr char kDestroy[] = "destroy";
constexpr char kTailLog[] = "tail_log";
constexpr char kExec[] = "exec";
constexpr char kOpenExec[] = "open_exec";
constexpr char kLocalImages[] = "local_images";
constexpr char kFacts[] = "facts";

const absl::Status& StatusOf(const absl::Status& status) { return status; }

template <typename Result>
const absl::Status& StatusOf(const absl::StatusOr<Result>& result) {
  return result.status();
}

}  // namespace

const std::vector<std::string>& MeasuredDriver::Operations() {
  static const auto* const operations =
      new std::vector<std::string>{kEnsureImage, kStart, kStop,     kInspect,     kList, kDestroy,
                                   kTailLog,     kExec,  kOpenExec, kLocalImages, kFacts};
  return *operations;
}

template <typename Call>
auto MeasuredDriver::Measure(absl::string_view operation, Call call) {
  const absl::Duration begin = clock_->Monotonic();
  auto result = call();
  told_(operation, StatusOf(result), clock_->Monotonic() - begin);
  return result;
}

absl::Status MeasuredDriver::EnsureImage(
    const ImageRequest& request, const std::function<void(absl::string_view)>& on_progress) {
  return Measure(kEnsureImage, [&] { return driver_->EnsureImage(request, on_progress); });
}

absl::StatusOr<InstanceHandle> MeasuredDriver::Start(const InstanceSpec& spec) {
  return Measure(kStart, [&] { return driver_->Start(spec); });
}

absl::Status MeasuredDriver::Stop(const InstanceHandle& handle, absl::Duration grace) {
  return Measure(kStop, [&] { return driver_->Stop(handle, grace); });
}

absl::StatusOr<InstanceStatus> MeasuredDriver::Inspect(const InstanceHandle& handle) {
  return Measure(kInspect, [&] { return driver_->Inspect(handle); });
}

absl::StatusOr<std::vector<InstanceRecord>> MeasuredDriver::List() {
  return Measure(kList, [&] { return driver_->List(); });
}

absl::Status MeasuredDriver::Destroy(const InstanceHandle& handle) {
  return Measure(kDestroy, [&] { return driver_->Destroy(handle); });
}

absl::StatusOr<std::vector<std::string>> MeasuredDriver::TailLog(const InstanceHandle& handle,
                                                                 int lines_max) {
  return Measure(kTailLog, [&] { return driver_->TailLog(handle, lines_max); });
}

absl::Status MeasuredDriver::FollowLog(const InstanceHandle& handle, const LogQuery& query,
                                       std::stop_token stop,
                                       const std::function<bool(const LogLine&)>& on_line) {
  return driver_->FollowLog(handle, query, std::move(stop), on_line);
}

absl::StatusOr<ExecResult> MeasuredDriver::Exec(const InstanceHandle& handle,
                                                const std::vector<std::string>& command,
                                                absl::Duration timeout) {
  return Measure(kExec, [&] { return driver_->Exec(handle, command, timeout); });
}

absl::StatusOr<std::unique_ptr<ExecStream>> MeasuredDriver::OpenExec(const InstanceHandle& handle,
                                                                     const ExecSpec& spec) {
  return Measure(kOpenExec, [&] { return driver_->OpenExec(handle, spec); });
}

absl::StatusOr<std::vector<LocalImage>> MeasuredDriver::LocalImages() {
  return Measure(kLocalImages, [&] { return driver_->LocalImages(); });
}

absl::StatusOr<DriverFacts> MeasuredDriver::Facts() {
  return Measure(kFacts, [&] { return driver_->Facts(); });
}

absl::Status MeasuredDriver::WatchEvents(std::stop_token stop, const DriverEvents& events) {
  return driver_->WatchEvents(std::move(stop), events);
}

}  // namespace berth
