#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/secrets/bundle_store.h"
#include "agent/secrets/given_secrets.h"
#include "agent/secrets/secrets_mount.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "common/crypto/sealed_box.h"
#include "common/secrets/bundle.h"

namespace berth::agent {

// Gives instances of this host their secrets: a sealed bundle from berth-secrets, kept on disk as
// it came, opened in guarded memory, and written where only the instance reads it.
//
// Blocks; safe from several threads, as long as calls about one instance come one after another.
class InstanceSecrets {
 public:
  // Asks berth-secrets for a bundle.
  using Fetch = std::function<absl::StatusOr<secrets::v1::GetBundleResponse>(
      const secrets::v1::SignedSecretGrant&)>;

  // What is pointed to outlives it.
  InstanceSecrets(std::string host, const SealingKey* key, BundleStore* bundles,
                  SecretsMount* mount, Fetch fetch)
      : host_(std::move(host)),
        key_(key),
        bundles_(bundles),
        mount_(mount),
        fetch_(std::move(fetch)) {}

  // Makes the file anew; asks for a bundle only where none for this very grant is on disk. The
  // error is in words for people, and never has a value in it.
  absl::StatusOr<GivenSecrets> Prepare(const scheduler::v1::Assignment& assignment);

  // The instance is gone.
  absl::Status Forget(const std::string& instance);

  // Nothing of other instances stays. Called while nothing else is.
  absl::Status KeepOnly(const std::set<std::string>& instances);

 private:
  absl::StatusOr<secrets::v1::SecretGrant> GrantOf(
      const scheduler::v1::Assignment& assignment) const;
  absl::StatusOr<Bundle> Open(const secrets::v1::GetBundleResponse& sealed,
                              const secrets::v1::SecretGrant& grant) const;
  absl::StatusOr<Bundle> BundleFor(const scheduler::v1::Assignment& assignment,
                                   const secrets::v1::SecretGrant& grant);

  const std::string host_;
  const SealingKey* const key_;
  BundleStore* const bundles_;
  SecretsMount* const mount_;
  const Fetch fetch_;
};

}  // namespace berth::agent
