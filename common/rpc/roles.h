#pragma once

#include "berth/auth/v1/auth.pb.h"
#include "berth/options/v1/access.pb.h"

namespace berth::rpc {

// The role × permission table of people.
bool RoleHas(auth::v1::Role role, options::v1::Permission permission);

}  // namespace berth::rpc
