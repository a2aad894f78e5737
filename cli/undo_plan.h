#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "berth/config/v1/config.pb.h"
#include "berth/edge_router/v1/edge_router.pb.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "cli/environment_state.h"

namespace berth::cli {

// One command of an undo, as a person could give it, too.
using UndoStep =
    std::variant<secrets::v1::ActivateSecretRequest, edge_router::v1::DeleteRouteRequest,
                 config::v1::RollbackRequest, edge_router::v1::CreateRouteRequest>;

// What brings an environment back to how it was, in order: secrets before the release that wants
// them, routes that are in its way before it, and routes that lead to it after it.
struct UndoPlan {
  std::vector<UndoStep> steps;
  // The release is the right one already, and this promotion of it is still being rolled out.
  std::optional<uint64_t> promotion_under_way;
  // What cannot be as it was, each with why.
  std::vector<std::string> not_restorable;
  // What is good to know, such as what came since and stays.
  std::vector<std::string> remarks;
};

// The versions of secrets that are kept now, by name.
using KeptVersions = std::map<std::string, std::set<uint64_t>>;

// The secrets of which it matters which versions are kept: another one was active then.
std::vector<std::string> SecretsToRestore(const EnvironmentState& then,
                                          const EnvironmentState& now);

// What makes of `now` what was `then`. `kept` has those of SecretsToRestore. Where that is done,
// the plan has no steps: so an undo that was interrupted is repeated and goes on with the rest.
// kFailedPrecondition: nothing was deployed then.
absl::StatusOr<UndoPlan> PlanUndo(const EnvironmentState& then, const EnvironmentState& now,
                                  const KeptVersions& kept);

// The command line of a step.
std::string CommandText(const UndoStep& step);

}  // namespace berth::cli
