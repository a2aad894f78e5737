#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "berth/config/v1/config.pb.h"
#include "berth/edge_router/v1/edge_router.pb.h"
#include "berth/eventlog/v1/record.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "berth/types/v1/types.pb.h"
#include "cli/session.h"

namespace berth::cli {

// A moment of the past. Positions differ from service to service, so each is asked for the time;
// the service that the record is of, for the record.
struct PastMoment {
  absl::Time time;
  std::optional<eventlog::v1::RecordId> record;
};

// An environment at one moment, as its services have it: no secret's value is in it.
struct EnvironmentState {
  types::v1::EnvironmentName name;
  std::optional<PastMoment> at;                        // nullopt: now.
  std::optional<config::v1::Environment> environment;  // nullopt: there was none.
  std::vector<secrets::v1::Secret> secrets;            // By name.
  std::vector<edge_router::v1::RouteInfo> routes;      // By name.
  std::vector<scheduler::v1::Instance> instances;      // By process type; only where asked for.
  std::map<std::string, uint64_t> positions;           // Of each service that was asked about then.
};

// What a person calls a moment (ParseMoment), as something to ask services for; nullopt: now, which
// an empty text is, too. A usage error: it is none, or has not come yet. kNotFound: no such record.
absl::StatusOr<std::optional<PastMoment>> FindMoment(const std::string& text,
                                                     const std::string& org, Session* session);

// "now", "2026-05-01T09:30:15Z", or that with the record.
std::string MomentText(const std::optional<PastMoment>& at);

enum class WithInstances { kNo, kYes };

// Asks the services. kOutOfRange: their logs do not reach there. An environment that is not there
// is no error.
absl::StatusOr<EnvironmentState> ReadState(const types::v1::EnvironmentName& name,
                                           const std::optional<PastMoment>& at,
                                           WithInstances instances, Session* session);

}  // namespace berth::cli
