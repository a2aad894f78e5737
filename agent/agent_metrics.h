#pragma once

#include <functional>
#include <memory>

#include "agent/agent.h"
#include "agent/runtime/measured_driver.h"
#include "common/clock/clock.h"
#include "common/metrics/metrics.h"

namespace berth::agent {

// Measures what the agent does, from outside of its loop. Labels are phases, operations and results
// only. What is passed in outlives it, and it outlives what it measures.
class AgentMetrics {
 public:
  AgentMetrics(Metrics* metrics, const Clock* clock);

  // For a MeasuredDriver.
  MeasuredDriver::Told DriverCalls() const;

  // Puts itself between the agent and its reports and checks. Before the agent is made.
  void MeasureReportsAndChecks(Dependencies* dependencies) const;

  // At each scrape, asks the loop what the agent has. Until the result goes.
  [[nodiscard]] Metrics::Registration AddAgent(const Agent* agent, Executor* loop) const;
  // Ready is who acts: it knows what runs and what is desired.
  [[nodiscard]] Metrics::Registration AddReadyCheck(const Agent* agent, Executor* loop) const;

 private:
  struct Counted;

  Metrics* const metrics_;
  const Clock* const clock_;
  const std::shared_ptr<const Counted> counted_;
};

}  // namespace berth::agent
