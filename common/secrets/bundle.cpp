#include "common/secrets/bundle.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/crypto/hash.h"
#include "common/secrets/grant.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

using Sizes = std::map<std::string, uint64_t>;

absl::Status Malformed(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("the bundle of secrets is malformed: ", why));
}

// The sizes by name, in order, once they are known to be those of the grant's secrets and to add up
// to `size`.
absl::StatusOr<Sizes> CheckSizes(const secrets::v1::BundleContent& content, size_t size) {
  if (content.sizes_bytes().size() != content.grant().versions().size() ||
      static_cast<size_t>(content.sizes_bytes().size()) > kGrantSecretsMax) {
    return Malformed("its values are not those of its grant");
  }
  Sizes sizes;
  uint64_t sum = 0;
  for (const auto& [name, bytes] : content.sizes_bytes()) {
    if (!content.grant().versions().contains(name)) {
      return Malformed(absl::StrCat("its grant does not name ", name));
    }
    // Each is compared before it is added: the sum of sizes that lie could wrap around.
    if (bytes > size - sum) return Malformed("its sizes are more than it has");
    sum += bytes;
    sizes[name] = bytes;
  }
  if (sum != size) return Malformed("its sizes are less than it has");
  return sizes;
}

}  // namespace

absl::StatusOr<secrets::v1::GetBundleResponse> SealBundle(
    const secrets::v1::SecretGrant& grant, const std::map<std::string, SecretBytes>& values,
    absl::string_view host_key) {
  BERTH_CHECK(values.size() == static_cast<size_t>(grant.versions().size()));
  secrets::v1::BundleContent content;
  *content.mutable_grant() = grant;
  size_t size = 0;
  for (const auto& [name, value] : values) {
    BERTH_CHECK(grant.versions().contains(name));
    (*content.mutable_sizes_bytes())[name] = value.size();
    size += value.size();
  }
  if (size > kBundleValuesMax) {
    return absl::ResourceExhaustedError(absl::StrCat("the secrets of an instance have at most ",
                                                     kBundleValuesMax,
                                                     " bytes together; these have ", size));
  }
  secrets::v1::GetBundleResponse bundle;
  bundle.set_content(content.SerializeAsString());
  const std::string digest = Blake2b256({bundle.content()});
  SecretBytes plain(digest.size() + size);
  uint8_t* end = std::copy(digest.begin(), digest.end(), plain.data());
  for (const auto& [name, value] : values) {
    end = std::copy(value.data(), value.data() + value.size(), end);
  }
  BERTH_ASSIGN_OR_RETURN(*bundle.mutable_sealed_values(), Seal(host_key, plain));
  return bundle;
}

absl::StatusOr<Bundle> Bundle::Open(const secrets::v1::GetBundleResponse& sealed,
                                    const SealingKey& key) {
  if (sealed.sealed_values().size() > kBundleValuesMax + kBlake2b256Size + kSealOverhead) {
    return Malformed("it is too large");
  }
  Bundle bundle;
  BERTH_ASSIGN_OR_RETURN(bundle.memory_, key.Open(sealed.sealed_values()));
  const absl::string_view memory = bundle.memory_.view();
  if (memory.size() < kBlake2b256Size ||
      memory.substr(0, kBlake2b256Size) != Blake2b256({sealed.content()})) {
    return Malformed("its values were not sealed with its content");
  }
  secrets::v1::BundleContent content;
  if (!content.ParseFromString(sealed.content())) return Malformed("its content cannot be read");
  BERTH_ASSIGN_OR_RETURN(const Sizes sizes, CheckSizes(content, memory.size() - kBlake2b256Size));
  size_t begin = kBlake2b256Size;
  for (const auto& [name, size] : sizes) {
    bundle.values_[name] = memory.substr(begin, size);
    begin += size;
  }
  bundle.grant_ = std::move(*content.mutable_grant());
  bundle.memory_.MakeReadOnly();
  return bundle;
}

}  // namespace berth
