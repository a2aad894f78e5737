#include "agent/health/probe.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
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
    RecordSuccess();
  } else {
    RecordFailure(result.detail);
  }
  AdvanceTo(now);
  const absl::Duration wait = health_ == Health::kStarting
                                  ? std::min(policy_.start_interval, policy_.interval)
                                  : policy_.interval;
  next_check_at_ = now + wait;
}

void Probe::RecordSuccess() {
  failures_in_row_ = 0;
  ++successes_in_row_;
  if (health_ == Health::kReady || successes_in_row_ < policy_.successes_needed) return;
  health_ = Health::kReady;
  detail_.clear();
}

void Probe::RecordFailure(const std::string& detail) {
  successes_in_row_ = 0;
  ++failures_in_row_;
  // An instance that starts fails its checks by nature: only start_max ends that.
  if (health_ == Health::kReady && failures_in_row_ >= policy_.failures_needed) {
    health_ = Health::kUnready;
  }
  if (health_ != Health::kReady) detail_ = detail;
}

void Probe::AdvanceTo(absl::Duration now) {
  if (health_ != Health::kStarting || now < started_at_ + policy_.start_max) return;
  health_ = Health::kUnready;
  if (detail_.empty()) {
    detail_ = absl::StrCat("not ready within ", absl::FormatDuration(policy_.start_max));
  }
}

absl::string_view HealthName(Health health) {
  switch (health) {
    case Health::kStarting:
      return "starting";
    case Health::kReady:
      return "ready";
    case Health::kUnready:
      return "unready";
  }
  return "unready";
}

}  // namespace berth
