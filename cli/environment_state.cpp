#include "cli/environment_state.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/errors.h"
#include "cli/history.h"
#include "cli/moment.h"
#include "cli/record_text.h"
#include "common/clock/system_clock.h"
#include "common/ids/names.h"
#include "common/status/status_macros.h"
#include "common/time/timestamp.h"

namespace berth::cli {
namespace {

// A little more than a service takes for one answer about its past.
constexpr absl::Duration kPastDeadline = absl::Seconds(70);

types::v1::Moment MomentFor(const std::string& service, const PastMoment& at) {
  types::v1::Moment moment;
  if (at.record.has_value() && at.record->stream() == service) {
    moment.set_position(at.record->position());
  } else {
    *moment.mutable_time() = ToTimestamp(at.time);
  }
  return moment;
}

// Asks one service, about then or now, and notes of when the answer is.
template <typename Response, typename Request>
absl::StatusOr<Response> Ask(const std::string& service, Request request, EnvironmentState* state,
                             Session* session) {
  if (!state->at.has_value()) return session->Call<Response>(request);
  *request.mutable_at() = MomentFor(service, *state->at);
  BERTH_ASSIGN_OR_RETURN(Response response, session->Call<Response>(request, kPastDeadline));
  // What does not know the field has answered about now.
  if (!response.has_as_of()) {
    return absl::UnimplementedError(
        absl::StrCat("berth-", service, " is too old to be asked about the past"));
  }
  state->positions[service] = response.as_of().position();
  return response;
}

}  // namespace

absl::StatusOr<std::optional<PastMoment>> FindMoment(const std::string& text,
                                                     const std::string& org, Session* session) {
  if (text.empty() || text == "now") return std::optional<PastMoment>();
  const absl::Time now = SystemClock().Now();
  BERTH_ASSIGN_OR_RETURN(const Moment moment, ParseMoment(text, now));
  PastMoment found;
  BERTH_ASSIGN_OR_RETURN(found.time, TimeOf(moment, org, session));
  if (const auto* record = std::get_if<eventlog::v1::RecordId>(&moment)) {
    found.record = *record;
  } else if (found.time > now) {
    return UsageError(absl::StrCat("\"", text, "\" has not come yet"));
  }
  return std::optional<PastMoment>(std::move(found));
}

std::string MomentText(const std::optional<PastMoment>& at) {
  if (!at.has_value()) return "now";
  const std::string time = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", at->time, absl::UTCTimeZone());
  return at->record.has_value() ? absl::StrCat(time, " (", RecordName(*at->record), ")") : time;
}

absl::StatusOr<EnvironmentState> ReadState(const types::v1::EnvironmentName& name,
                                           const std::optional<PastMoment>& at,
                                           WithInstances instances, Session* session) {
  EnvironmentState state;
  state.name = name;
  state.at = at;

  config::v1::GetEnvironmentRequest environment;
  *environment.mutable_environment() = name;
  auto found = Ask<config::v1::GetEnvironmentResponse>("config", environment, &state, session);
  if (!found.ok() && !absl::IsNotFound(found.status())) return found.status();
  if (found.ok()) state.environment = std::move(*found->mutable_environment());

  secrets::v1::ListSecretsRequest secrets;
  *secrets.mutable_environment() = name;
  BERTH_ASSIGN_OR_RETURN(const auto listed, Ask<secrets::v1::ListSecretsResponse>(
                                                "secrets", secrets, &state, session));
  state.secrets.assign(listed.secrets().begin(), listed.secrets().end());

  edge_router::v1::ListRoutesRequest routes;
  routes.set_org(name.org());
  BERTH_ASSIGN_OR_RETURN(const auto of_org, Ask<edge_router::v1::ListRoutesResponse>(
                                                "edge-router", routes, &state, session));
  for (const edge_router::v1::RouteInfo& route : of_org.routes()) {
    if (berth::ToString(route.environment()) == berth::ToString(name)) {
      state.routes.push_back(route);
    }
  }
  if (instances == WithInstances::kNo) return state;

  scheduler::v1::GetEnvironmentStatusRequest status;
  *status.mutable_environment() = name;
  const auto placed =
      Ask<scheduler::v1::GetEnvironmentStatusResponse>("scheduler", status, &state, session);
  // What config has just learnt of is not yet news to the scheduler.
  if (!placed.ok() && !absl::IsNotFound(placed.status())) return placed.status();
  if (placed.ok()) {
    state.instances.assign(placed->instances().begin(), placed->instances().end());
  }
  return state;
}

}  // namespace berth::cli
