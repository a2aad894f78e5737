#include "agent/health/probe.h"

#include "common/check/check.h"

namespace berth {

std::optional<absl::Duration> Probe::NextCheckAt() const {
  if (checking_) return std::nullopt;
  return next_check_at_;
}

void Probe::BeginCheck() {
  BERTH_CHECK(!checking_);
  checking_ = true;
}

void Probe::RecordCheck(const CheckResult& result, absl::Duration now) {
  BERTH_CHECK(checking_);
  checking_ = false;
  if (result.passed) {
    failures_in_row_ = 0;
    ++successes_in_row_;
    if (health_ != Health::kReady && successes_in_row_ >= policy_.successes_needed) {
      health_ = Health::kReady;
      detail_.clear();
    }
  } else {
    successes_in_row_ = 0;
    ++failures_in_row_;
    // A starting instance fails its checks by nature; only start_max ends that.
    if (health_ == Health::kReady && failures_in_row_ >= policy_.failures_needed) {
      health_ = Health::kUnready;
    }
    if (health_ != Health::kReady) detail_ = result.detail;
  }
  AdvanceTo(now);
  next_check_at_ = now + (health_ == Health::kStarting ? policy_.start_interval : policy_.interval);
}

void Probe::AdvanceTo(absl::Duration now) {
  if (health_ != Health::kStarting || now < started_at_ + policy_.start_max) return;
  health_ = Health::kUnready;
}

}  // namespace berth
