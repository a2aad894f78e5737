#include "cli/environment_view.h"

#include <algorithm>
#include <tuple>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace berth::cli {
namespace {

using scheduler::v1::Instance;
using scheduler::v1::Rollout;

// The keys of the topic, as the proto of WatchEnvironment names them.
constexpr char kRolloutKey[] = "rollout";
constexpr char kInstancePrefix[] = "instance/";

}  // namespace

const Instance* EnvironmentView::Find(const std::string& id) const {
  const auto found = std::find_if(instances.begin(), instances.end(),
                                  [&](const Instance& each) { return each.id() == id; });
  return found == instances.end() ? nullptr : &*found;
}

absl::StatusOr<EnvironmentView> ViewOf(const WatchClient::Entries& entries) {
  EnvironmentView view;
  for (const auto& [key, value] : entries) {
    bool readable = true;
    if (key == kRolloutKey) {
      readable = view.rollout.emplace().ParseFromString(value);
    } else if (absl::StartsWith(key, kInstancePrefix)) {
      readable = view.instances.emplace_back().ParseFromString(value);
    }
    if (!readable) return absl::DataLossError(absl::StrCat("the watch's ", key, " cannot be read"));
  }
  std::sort(view.instances.begin(), view.instances.end(), [](const Instance& a, const Instance& b) {
    return std::tie(a.process_type(), a.id()) < std::tie(b.process_type(), b.id());
  });
  return view;
}

std::optional<RolloutEnd> EndOf(const EnvironmentView& view, uint64_t promotion) {
  if (!view.rollout || view.rollout->promotion() < promotion) return std::nullopt;
  if (view.rollout->promotion() > promotion) return RolloutEnd::kReplaced;
  switch (view.rollout->phase()) {
    case scheduler::v1::ROLLOUT_PHASE_SUCCEEDED:
      return RolloutEnd::kSucceeded;
    case scheduler::v1::ROLLOUT_PHASE_FAILED:
      return RolloutEnd::kFailed;
    default:
      return std::nullopt;
  }
}

std::optional<RestartEnd> EndOf(const EnvironmentView& view,
                                const scheduler::v1::RestartResponse& restart) {
  if (!view.rollout) return std::nullopt;
  if (view.rollout->promotion() != restart.promotion()) return RestartEnd::kReplaced;
  const auto& types = restart.process_types();
  uint32_t ready = 0;
  bool old_left = false;
  for (const Instance& instance : view.instances) {
    if (std::find(types.begin(), types.end(), instance.process_type()) == types.end()) continue;
    if (instance.restart() < restart.restart()) {
      old_left = true;
      continue;
    }
    if (instance.given_up()) return RestartEnd::kFailed;
    if (instance.observed().phase() == scheduler::v1::PHASE_READY) ++ready;
  }
  if (!view.rollout->reason().empty()) return RestartEnd::kNoRoom;
  if (old_left || ready < restart.replicas()) return std::nullopt;
  return RestartEnd::kDone;
}

bool IsWanted(const Instance& instance) {
  return instance.intent() != scheduler::v1::INTENT_STOP && !instance.draining();
}

Readiness ReadinessOf(const EnvironmentView& view) {
  Readiness readiness;
  for (const Instance& instance : view.instances) {
    if (!IsWanted(instance)) continue;
    ++readiness.total;
    if (instance.observed().phase() == scheduler::v1::PHASE_READY) ++readiness.ready;
  }
  return readiness;
}

}  // namespace berth::cli
