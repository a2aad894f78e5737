#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "agent/runtime/driver.h"
#include "agent/runtime/podman/podman_service.h"
#include "common/clock/clock.h"
#include "common/libpod/libpod_client.h"
#include "common/sync/mutex.h"

namespace berth {

// Runs instances as containers of Podman, over its REST API. A container is named after its
// instance, so that Podman itself refuses a second one; a handle is a container's id. Safe to use
// from any thread.
class PodmanDriver : public Driver {
 public:
  // `host` is this host's id: several hosts may share one Podman in tests. `clock` outlives the
  // driver.
  PodmanDriver(const PodmanServiceSettings& settings, std::string host, const Clock* clock);

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
  absl::StatusOr<std::unique_ptr<ExecStream>> OpenExec(const InstanceHandle& handle,
                                                       const ExecSpec& spec) override;
  absl::StatusOr<ExecResult> Exec(const InstanceHandle& handle,
                                  const std::vector<std::string>& command,
                                  absl::Duration timeout) override;
  absl::StatusOr<std::vector<LocalImage>> LocalImages() override;
  absl::StatusOr<DriverFacts> Facts() override;
  absl::Status WatchEvents(std::stop_token stop, const DriverEvents& events) override;

 private:
  // What decides between two Start calls of one instance.
  struct Existing {
    std::string id;
    int64_t attempt = 0;
    InstancePhase phase = InstancePhase::kGone;
  };

  absl::StatusOr<bool> HasImage(const std::string& image);
  // The container's id; kAlreadyExists where its name is taken.
  absl::StatusOr<std::string> Create(const nlohmann::json& request);
  // Whoever has the instance's container name.
  absl::StatusOr<std::optional<Existing>> FindByName(const std::string& instance_id);
  absl::Status StartContainer(const std::string& id);
  absl::Status DestroyContainer(const std::string& id_or_name);
  // What runs containers for Podman, such as runc, and how it is called here.
  absl::StatusOr<std::vector<std::string>> RuntimeCommand();

  const std::string host_;
  const std::string podman_program_;
  const Clock* const clock_;
  PodmanService service_;
  LibpodClient client_;
  Mutex mutex_;
  std::vector<std::string> runtime_command_ ABSL_GUARDED_BY(mutex_);  // Empty until asked for.
};

}  // namespace berth
