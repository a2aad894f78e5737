#include "cli/state_text.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "cli/output.h"
#include "cli/record_text.h"
#include "cli/wording.h"
#include "common/ids/names.h"
#include "common/manifest/route.h"
#include "common/net/ipv6_text.h"

namespace berth::cli {
namespace {

std::string ReleaseText(const config::v1::Release& release) {
  return absl::StrCat("  release   ", release.number(), ", ", Printable(release.origin()), " by ",
                      Printable(release.created_by()), "\n  image     ", Printable(release.image()),
                      "\n  replicas  ", CountsText(release.replicas()), "\n");
}

std::string SecretTable(const EnvironmentState& state) {
  Table table = {{"SECRET", "ACTIVE", "NEWEST", "BY"}, {}};
  for (const secrets::v1::Secret& secret : state.secrets) {
    table.rows.push_back({secret.name(), absl::StrCat(secret.active_version()),
                          absl::StrCat(secret.newest_version()), secret.updated_by()});
  }
  return RenderTable(table);
}

std::string RouteTable(const EnvironmentState& state) {
  Table table = {{"ROUTE", "FROM", "LISTENS AND LEADS TO"}, {}};
  for (const edge_router::v1::RouteInfo& route : state.routes) {
    table.rows.push_back(
        {route.name(), route.standing() ? route.record().actor() : "manifest", RouteText(route)});
  }
  return RenderTable(table);
}

std::string InstanceTable(const EnvironmentState& state) {
  Table table = {{"INSTANCE", "PROCESS", "RELEASE", "HOST", "STATE", "ADDRESS"}, {}};
  for (const scheduler::v1::Instance& instance : state.instances) {
    table.rows.push_back({instance.id(), instance.process_type(), absl::StrCat(instance.release()),
                          instance.host(), StateText(instance), Ipv6Text(instance.address())});
  }
  return RenderTable(table);
}

}  // namespace

std::string RouteText(const edge_router::v1::RouteInfo& route) {
  if (!route.refused().empty()) return absl::StrCat("refused: ", route.refused());
  return absl::StrCat(ListenText(route.route()), " to ", berth::ToString(route.route().to()));
}

std::string RolloutWords(const config::v1::Environment& environment) {
  switch (environment.rollout()) {
    case config::v1::ROLLOUT_STATE_RUNNING:
      return environment.has_desired() ? "being rolled out" : "being taken away";
    case config::v1::ROLLOUT_STATE_SUCCEEDED:
      return "live";
    case config::v1::ROLLOUT_STATE_FAILED:
      return absl::StrCat("back after a failure: ", environment.rollout_reason());
    default:
      return "nothing to roll out";
  }
}

std::string EnvironmentText(const EnvironmentState& state) {
  std::string text = absl::StrCat(berth::ToString(state.name), state.at.has_value() ? " at " : " ",
                                  MomentText(state.at), "\n");
  if (state.environment->has_desired()) {
    absl::StrAppend(&text, ReleaseText(state.environment->desired()));
  }
  absl::StrAppend(&text, "  rollout   ", Printable(RolloutWords(*state.environment)), "\n");
  if (!state.positions.empty()) {
    const std::string records =
        absl::StrJoin(state.positions, " ", [](std::string* out, const auto& each) {
          absl::StrAppend(out, each.first, "/", each.second);
        });
    absl::StrAppend(&text, "  as of     ", records, "\n");
  }
  if (!state.secrets.empty()) absl::StrAppend(&text, "\n", SecretTable(state));
  if (!state.routes.empty()) absl::StrAppend(&text, "\n", RouteTable(state));
  if (!state.instances.empty()) absl::StrAppend(&text, "\n", InstanceTable(state));
  return text;
}

Json EnvironmentJson(const EnvironmentState& state) {
  Json json;
  json["environment"] = ToJson(*state.environment);
  json["time"] =
      state.at.has_value()
          ? Json(absl::FormatTime(absl::RFC3339_full, state.at->time, absl::UTCTimeZone()))
          : Json(nullptr);
  json["positions"] = Json::object();
  for (const auto& [service, position] : state.positions) json["positions"][service] = position;
  json["secrets"] = Json::array();
  for (const secrets::v1::Secret& secret : state.secrets) json["secrets"].push_back(ToJson(secret));
  json["routes"] = Json::array();
  for (const edge_router::v1::RouteInfo& route : state.routes) {
    json["routes"].push_back(ToJson(route));
  }
  json["instances"] = Json::array();
  for (const scheduler::v1::Instance& instance : state.instances) {
    json["instances"].push_back(ToJson(instance));
  }
  return json;
}

}  // namespace berth::cli
