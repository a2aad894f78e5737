#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "common/crypto/signature.h"

namespace berth {

// How long after it was made a grant lets a command begin; what was begun goes on.
inline constexpr absl::Duration kExecGrantLifetime = absl::Minutes(1);

scheduler::v1::SignedExecGrant SignExecGrant(const scheduler::v1::ExecGrant& grant,
                                             const SigningKey& key);

// The grant, if the owner of `scheduler_key` signed it. kPermissionDenied: somebody else did, or
// nobody. kInvalidArgument: what was signed is no grant, or one of no host, instance, command or
// id.
absl::StatusOr<scheduler::v1::ExecGrant> VerifyExecGrant(
    const scheduler::v1::SignedExecGrant& signed_grant, absl::string_view scheduler_key);

}  // namespace berth
