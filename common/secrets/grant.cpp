#include "common/secrets/grant.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/ids/names.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

// Keeps a signature made for anything else from counting here.
std::string Purpose() { return std::string("berth secret grant v1") + '\0'; }

std::string Serialise(const secrets::v1::SecretGrant& grant) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    // In the order of the names: the same grant must not look like another one.
    coded.SetSerializationDeterministic(true);
    BERTH_CHECK(grant.SerializeToCodedStream(&coded));
  }
  return bytes;
}

absl::Status CheckGrant(const secrets::v1::SecretGrant& grant) {
  BERTH_RETURN_IF_ERROR(CheckName("host", grant.host()));
  BERTH_RETURN_IF_ERROR(CheckName("org", grant.environment().org()));
  BERTH_RETURN_IF_ERROR(CheckName("app", grant.environment().app()));
  BERTH_RETURN_IF_ERROR(CheckName("environment", grant.environment().env()));
  const size_t secrets = static_cast<size_t>(grant.versions().size());
  if (secrets == 0 || secrets > kGrantSecretsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a grant is for 1 to ", kGrantSecretsMax, " secrets, not for ", secrets));
  }
  for (const auto& [name, version] : grant.versions()) {
    BERTH_RETURN_IF_ERROR(CheckName("secret", name));
    if (version == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("the grant names no version of the secret ", name));
    }
  }
  return absl::OkStatus();
}

}  // namespace

secrets::v1::SignedSecretGrant SignGrant(const secrets::v1::SecretGrant& grant,
                                         const SigningKey& key) {
  secrets::v1::SignedSecretGrant signed_grant;
  signed_grant.set_grant(Serialise(grant));
  signed_grant.set_signed_by(key.public_key());
  signed_grant.set_signature(key.Sign(absl::StrCat(Purpose(), signed_grant.grant())));
  return signed_grant;
}

absl::StatusOr<secrets::v1::SecretGrant> VerifyGrant(
    const secrets::v1::SignedSecretGrant& signed_grant) {
  if (!VerifySignature(signed_grant.signed_by(), absl::StrCat(Purpose(), signed_grant.grant()),
                       signed_grant.signature())) {
    return absl::PermissionDeniedError("the grant was not signed by whom it names");
  }
  secrets::v1::SecretGrant grant;
  if (!grant.ParseFromString(signed_grant.grant())) {
    return absl::InvalidArgumentError("the grant cannot be read");
  }
  BERTH_RETURN_IF_ERROR(CheckGrant(grant));
  return grant;
}

bool SameGrant(const secrets::v1::SecretGrant& a, const secrets::v1::SecretGrant& b) {
  return Serialise(a) == Serialise(b);
}

}  // namespace berth
