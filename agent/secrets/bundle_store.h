#pragma once

#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "berth/secrets/v1/secrets.pb.h"

namespace berth::agent {

// The sealed bundles of this host's instances on its disk, one file of mode 0600 each, so that
// instances start while the control plane is away. Only the host's sealing key opens them.
//
// Safe from several threads, as long as those about one instance come one after another.
class BundleStore {
 public:
  explicit BundleStore(std::string folder) : folder_(std::move(folder)) {}

  // kNotFound: there is none, or none that can be read.
  absl::StatusOr<secrets::v1::GetBundleResponse> Load(const std::string& instance) const;
  absl::Status Store(const std::string& instance, const secrets::v1::GetBundleResponse& sealed);
  absl::Status Remove(const std::string& instance);
  // Removes those of all others. Called while nothing else is.
  absl::Status KeepOnly(const std::set<std::string>& instances);

 private:
  std::string PathOf(const std::string& instance) const;

  const std::string folder_;
};

}  // namespace berth::agent
