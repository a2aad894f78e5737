#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "berth/types/v1/types.pb.h"

namespace berth {

// OK for a name that people may give to orgs, apps, environments and machines: a DNS label that
// begins with a letter, [a-z]([a-z0-9-]{0,61}[a-z0-9])?; otherwise kInvalidArgument that says what
// `what` may be called.
absl::Status CheckName(absl::string_view what, absl::string_view name);

// ORG/APP/ENV, as keys and messages write it.
std::string ToString(const types::v1::EnvironmentName& name);

}  // namespace berth
