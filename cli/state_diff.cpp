#include "cli/state_diff.h"

#include <google/protobuf/util/json_util.h>

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/json.h"
#include "cli/state_text.h"
#include "common/check/check.h"

namespace berth::cli {
namespace {

// In the order in which they are shown.
enum class Part { kRelease, kImage, kProcesses, kSecrets, kRoutes };

using Facts = std::map<std::pair<Part, std::string>, std::string>;

// Adds what a JSON value holds, each leaf by its path. A list is one fact: that one of its elements
// moved says little.
void AddLeaves(const Json& value, const std::string& path, Facts* facts) {
  if (!value.is_object()) {
    (*facts)[{Part::kProcesses, path}] =
        value.is_string() ? value.get<std::string>()
                          : value.dump(-1, ' ', false, Json::error_handler_t::replace);
    return;
  }
  for (const auto& [name, field] : value.items()) {
    AddLeaves(field, absl::StrCat(path, ".", name), facts);
  }
}

// What the manifest says of a process type, in the manifest's own words.
void AddProcess(const std::string& type, const config::v1::Process& process, Facts* facts) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  BERTH_CHECK(google::protobuf::util::MessageToJsonString(process, &text, options).ok());
  Json json = Json::parse(text);
  // The release's count is the one that holds.
  json.erase("replicas");
  AddLeaves(json, type, facts);
}

Facts FactsOf(const EnvironmentState& state) {
  Facts facts;
  if (state.environment.has_value() && state.environment->has_desired()) {
    const config::v1::Release& release = state.environment->desired();
    facts[{Part::kRelease, "release"}] = absl::StrCat(release.number());
    facts[{Part::kImage, "image"}] = release.image();
    for (const auto& [type, count] : release.replicas()) {
      facts[{Part::kProcesses, absl::StrCat(type, ".replicas")}] = absl::StrCat(count);
    }
    for (const auto& [type, process] : release.manifest().processes()) {
      AddProcess(type, process, &facts);
    }
  }
  for (const secrets::v1::Secret& secret : state.secrets) {
    facts[{Part::kSecrets, absl::StrCat("secret ", secret.name())}] =
        absl::StrCat("version ", secret.active_version());
  }
  for (const edge_router::v1::RouteInfo& route : state.routes) {
    facts[{Part::kRoutes, absl::StrCat("route ", route.name())}] =
        absl::StrCat(RouteText(route), route.standing() ? ", standing" : "");
  }
  return facts;
}

}  // namespace

std::vector<Difference> DiffStates(const EnvironmentState& before, const EnvironmentState& after) {
  const Facts old_facts = FactsOf(before);
  const Facts new_facts = FactsOf(after);
  std::map<std::pair<Part, std::string>, Difference> differences;
  for (const auto& [key, fact] : old_facts) {
    const auto same = new_facts.find(key);
    const std::string now = same == new_facts.end() ? "" : same->second;
    if (now != fact) differences[key] = {key.second, fact, now};
  }
  for (const auto& [key, fact] : new_facts) {
    if (!old_facts.contains(key)) differences[key] = {key.second, "", fact};
  }
  std::vector<Difference> ordered;
  for (auto& [key, difference] : differences) ordered.push_back(std::move(difference));
  return ordered;
}

}  // namespace berth::cli
