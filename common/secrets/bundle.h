#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "common/crypto/sealed_box.h"
#include "common/crypto/secret_bytes.h"

namespace berth {

// Bytes of all values of a bundle together.
inline constexpr size_t kBundleValuesMax = size_t{1} << 20;

// The values of the secrets that `grant` names, no more and no fewer, sealed to the host's sealing
// key. kInvalidArgument: not a public key. kResourceExhausted: more than kBundleValuesMax.
absl::StatusOr<secrets::v1::GetBundleResponse> SealBundle(
    const secrets::v1::SecretGrant& grant, const std::map<std::string, SecretBytes>& values,
    absl::string_view host_key);

// An opened bundle. Its values are in guarded memory for as long as it lives; views of them are
// valid as long, also when it is moved.
class Bundle {
 public:
  // kInvalidArgument: sealed to another key, or changed, or not what its content says. Whoever
  // opens it compares grant() with the grant it asked with (SameGrant).
  static absl::StatusOr<Bundle> Open(const secrets::v1::GetBundleResponse& sealed,
                                     const SealingKey& key);

  const secrets::v1::SecretGrant& grant() const { return grant_; }

  // By name: exactly those that the grant names.
  const std::map<std::string, absl::string_view>& values() const { return values_; }

 private:
  Bundle() = default;

  secrets::v1::SecretGrant grant_;
  SecretBytes memory_;  // The digest, then the values.
  std::map<std::string, absl::string_view> values_;
};

}  // namespace berth
