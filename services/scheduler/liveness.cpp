#include "services/scheduler/liveness.h"

#include <algorithm>

namespace berth::scheduler {

void Liveness::Restart(const std::vector<std::string>& hosts, absl::Duration now) {
  heard_.clear();
  for (const std::string& host : hosts) heard_[host] = now;
}

void Liveness::Heard(const std::string& host, absl::Duration now) { heard_[host] = now; }

std::map<std::string, v1::HostPresence> Liveness::SilentAt(absl::Duration now) const {
  std::map<std::string, v1::HostPresence> silent;
  for (const auto& [host, heard] : heard_) {
    const absl::Duration silence = now - heard;
    if (silence >= policy_.lost_after) {
      silent[host] = v1::HOST_PRESENCE_LOST;
    } else if (silence >= policy_.stale_after) {
      silent[host] = v1::HOST_PRESENCE_STALE;
    }
  }
  return silent;
}

std::map<std::string, absl::Duration> Liveness::SilenceAt(absl::Duration now) const {
  std::map<std::string, absl::Duration> silence;
  for (const auto& [host, heard] : heard_) silence[host] = now - heard;
  return silence;
}

absl::Duration Liveness::NextChange(absl::Duration now) const {
  absl::Duration next = absl::InfiniteDuration();
  for (const auto& [host, heard] : heard_) {
    for (const absl::Duration limit : {policy_.stale_after, policy_.lost_after}) {
      if (heard + limit > now) next = std::min(next, heard + limit);
    }
  }
  return next;
}

}  // namespace berth::scheduler
