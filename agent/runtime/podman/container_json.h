#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/runtime/driver.h"

namespace berth {

// The labels by which Berth knows its containers.
inline constexpr char kInstanceLabel[] = "berth.instance";
inline constexpr char kAttemptLabel[] = "berth.attempt";
inline constexpr char kHostLabel[] = "berth.host";

// The one name a container of this instance has, whatever its attempt: so two cannot exist.
std::string ContainerName(absl::string_view instance_id);

// What Podman is asked to create. kInvalidArgument: the spec can never run; the message says why.
absl::StatusOr<nlohmann::json> ContainerRequest(const InstanceSpec& spec, absl::string_view host);

// What an OCI runtime is asked to run inside a container whose configuration (config.json of its
// bundle) this is: the command, as the container's own process in all else. nullopt: it is none.
std::optional<nlohmann::json> ExecProcess(const nlohmann::json& container, const ExecSpec& spec);

// From the answer to `inspect` of a container, and from an entry of a list of containers, whose
// times are whole seconds and which knows of no errors.
InstanceStatus StatusFromInspection(const nlohmann::json& container);
InstanceStatus StatusFromListEntry(const nlohmann::json& container);

// What the labels say; nullopt where they are not Berth's, or not of the host that is asked about.
std::optional<InstanceRecord> RecordFromListEntry(const nlohmann::json& container);
std::optional<InstanceExit> ExitFromEvent(const nlohmann::json& event, absl::string_view host);
int64_t AttemptOf(const nlohmann::json& labels);

}  // namespace berth
