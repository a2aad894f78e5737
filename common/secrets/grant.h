#pragma once

#include <cstddef>

#include "absl/status/statusor.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "common/crypto/signature.h"

namespace berth {

// What the manifest allows of a process type; see kBundleValuesMax for their size.
inline constexpr size_t kGrantSecretsMax = 100;

// The same grant and key give the same bytes.
secrets::v1::SignedSecretGrant SignGrant(const secrets::v1::SecretGrant& grant,
                                         const SigningKey& key);

// The grant, if the owner of `signed_grant.signed_by()` signed it; whether that one may sign grants
// is for the caller to find out. kPermissionDenied: it did not. kInvalidArgument: what was signed
// is no grant, or one that nobody could be given: a host, an environment or a secret without a
// proper name, version 0, no secrets or more than kGrantSecretsMax.
absl::StatusOr<secrets::v1::SecretGrant> VerifyGrant(
    const secrets::v1::SignedSecretGrant& signed_grant);

// Whether both entitle the same host to the same versions.
bool SameGrant(const secrets::v1::SecretGrant& a, const secrets::v1::SecretGrant& b);

}  // namespace berth
