#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "berth/scheduler/v1/scheduler.pb.h"

namespace berth::scheduler {

// The shortest silence that means anything: agents and edges report every five seconds.
inline constexpr absl::Duration kSilenceMin = absl::Seconds(6);

// How long a host may be silent, by the leader's monotonic clock.
struct LivenessPolicy {
  absl::Duration stale_after = absl::Seconds(15);
  absl::Duration lost_after = absl::Seconds(60);
};

// When each host was last heard. Soft state of the leader: it begins anew with every start, so that
// an absence of the control plane never makes a host lost. Pure; time comes in.
class Liveness {
 public:
  explicit Liveness(LivenessPolicy policy) : policy_(policy) {}

  // Every one of these hosts has its full time from now.
  void Restart(const std::vector<std::string>& hosts, absl::Duration now);

  void Heard(const std::string& host, absl::Duration now);

  // What each silent host counts as, once its time has passed; hosts that were heard are not named.
  std::map<std::string, v1::HostPresence> SilentAt(absl::Duration now) const;

  // How long each host has been silent, as far as this leader knows.
  std::map<std::string, absl::Duration> SilenceAt(absl::Duration now) const;

  // When SilentAt may next say something else; InfiniteDuration where there is no host.
  absl::Duration NextChange(absl::Duration now) const;

 private:
  const LivenessPolicy policy_;
  std::map<std::string, absl::Duration> heard_;
};

}  // namespace berth::scheduler
