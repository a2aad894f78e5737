#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agent/health/probe.h"
#include "agent/runtime/driver.h"
#include "common/executor/executor.h"

namespace berth {

// What is checked: one running instance.
struct CheckTarget {
  InstanceHandle handle;
  std::string address;  // IPv6 or IPv4, as text without brackets.
};

// Runs the check once, on this thread, for at most `timeout`. Every failure is a result, whatever
// its cause: what a check cannot find out counts as not passed. `driver` runs ExecChecks, and
// `deadlines`, whose steps may wait for a connection as long, ends HttpChecks.
CheckResult RunCheck(const Check& check, const CheckTarget& target, absl::Duration timeout,
                     Driver& driver, Executor* deadlines);

}  // namespace berth
