#include "agent/secrets/instance_secrets.h"

#include "absl/strings/str_cat.h"
#include "agent/secrets/secrets_file.h"
#include "common/secrets/grant.h"
#include "common/status/status_macros.h"

namespace berth::agent {

using scheduler::v1::Assignment;
using secrets::v1::GetBundleResponse;
using secrets::v1::SecretGrant;

absl::StatusOr<GivenSecrets> InstanceSecrets::Prepare(const Assignment& assignment) {
  BERTH_ASSIGN_OR_RETURN(const SecretGrant grant, GrantOf(assignment));
  BERTH_ASSIGN_OR_RETURN(const Bundle bundle, BundleFor(assignment, grant));
  BERTH_ASSIGN_OR_RETURN(const SecretBytes content, RenderSecretsFile(bundle.values()));
  GivenSecrets given;
  BERTH_ASSIGN_OR_RETURN(given.file, mount_->Write(assignment.instance(), content));
  for (const auto& [variable, secret] : assignment.process().secrets().env()) {
    const auto value = bundle.values().find(secret);
    if (value == bundle.values().end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("variable ", variable, " asks for secret ", secret, ", which is not given"));
    }
    given.env[variable] = std::string(value->second);
  }
  return given;
}

// The scheduler's word is taken over the watch already; this makes sure that what it signed is what
// it told, so that no other instance's secrets end up in this one.
absl::StatusOr<SecretGrant> InstanceSecrets::GrantOf(const Assignment& assignment) const {
  BERTH_ASSIGN_OR_RETURN(SecretGrant grant, VerifyGrant(assignment.secret_grant()));
  SecretGrant told;
  told.set_host(host_);
  *told.mutable_environment() = assignment.environment();
  *told.mutable_versions() = assignment.secret_versions();
  if (!SameGrant(grant, told)) {
    return absl::PermissionDeniedError("the grant is not for this host and this instance");
  }
  return grant;
}

absl::StatusOr<Bundle> InstanceSecrets::Open(const GetBundleResponse& sealed,
                                             const SecretGrant& grant) const {
  absl::StatusOr<Bundle> bundle = Bundle::Open(sealed, *key_);
  if (bundle.ok() && !SameGrant(bundle->grant(), grant)) {
    return absl::InvalidArgumentError("the bundle was made for another grant");
  }
  return bundle;
}

absl::StatusOr<Bundle> InstanceSecrets::BundleFor(const Assignment& assignment,
                                                  const SecretGrant& grant) {
  if (const auto stored = bundles_->Load(assignment.instance()); stored.ok()) {
    absl::StatusOr<Bundle> bundle = Open(*stored, grant);
    if (bundle.ok()) return bundle;
  }
  BERTH_ASSIGN_OR_RETURN(const GetBundleResponse sealed, fetch_(assignment.secret_grant()));
  BERTH_ASSIGN_OR_RETURN(Bundle bundle, Open(sealed, grant));
  // On disk before it is used: what starts now starts again without the control plane.
  BERTH_RETURN_IF_ERROR(bundles_->Store(assignment.instance(), sealed));
  return bundle;
}

absl::Status InstanceSecrets::Forget(const std::string& instance) {
  BERTH_RETURN_IF_ERROR(mount_->Remove(instance));
  return bundles_->Remove(instance);
}

absl::Status InstanceSecrets::KeepOnly(const std::set<std::string>& instances) {
  BERTH_RETURN_IF_ERROR(mount_->KeepOnly(instances));
  return bundles_->KeepOnly(instances);
}

}  // namespace berth::agent
