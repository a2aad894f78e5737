#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "agent/health/probe.h"
#include "agent/runtime/driver.h"
#include "agent/secrets/given_secrets.h"
#include "berth/config/v1/manifest.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"

// What the scheduler assigned, in the words of drivers and probes. Pure.
namespace berth::agent {

// The spec with which a driver runs an assignment.
InstanceSpec SpecOf(const scheduler::v1::Assignment& assignment, const std::string& network);

// Mounts the file where the manifest wants it, says where, and adds the variables.
void GiveSecrets(const scheduler::v1::Assignment& assignment, const GivenSecrets& given,
                 InstanceSpec* spec);

ImageRequest::Pull PullOf(const scheduler::v1::Assignment& assignment);

// How long it has to end by itself once it is asked to.
absl::Duration GraceOf(const scheduler::v1::Assignment& assignment);

// What a probe of the assignment's manifest asks; nullopt: there is none.
std::optional<Check> CheckOf(const scheduler::v1::Assignment& assignment,
                             const config::v1::Probe& probe);

// Without how long a start may take, which depends on what the probe is for.
ProbePolicy PolicyOf(const config::v1::Probe& probe);

// Why an instance ended that nobody asked to, as a clause about it.
std::string ExitReason(const InstanceStatus& status, const scheduler::v1::Assignment& assignment);

}  // namespace berth::agent
