#include "services/scheduler/scheduler_metrics.h"

#include <prometheus/counter.h>

#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "common/metrics/ask.h"
#include "services/scheduler/fleet_numbers.h"

namespace berth::scheduler {
namespace {

// "ready" for "PHASE_READY"; what is not known yet is "unknown".
std::string Word(absl::string_view name, absl::string_view prefix) {
  const std::string word = absl::AsciiStrToLower(name.substr(prefix.size()));
  return word == "unspecified" ? "unknown" : word;
}

void AddFleet(MetricsPage* page, const FleetNumbers& numbers) {
  auto gauge = [page](const char* name, const char* help, auto value) {
    page->Gauge(name, help, {}, static_cast<double>(value));
  };
  for (const auto& [presence, count] : numbers.hosts) {
    page->Gauge("berth_scheduler_hosts", "Member hosts, by presence.",
                {{"presence", Word(v1::HostPresence_Name(presence), "HOST_PRESENCE_")}},
                static_cast<double>(count));
  }
  for (const auto& [phase, count] : numbers.instances) {
    page->Gauge("berth_scheduler_instances", "Placed instances, by the phase last reported.",
                {{"phase", Word(v1::Phase_Name(phase), "PHASE_")}}, static_cast<double>(count));
  }
  gauge("berth_scheduler_environments", "Environments that were ever deployed to.",
        numbers.environments);
  gauge("berth_scheduler_edges", "Member edges.", numbers.edges);
  gauge("berth_scheduler_rollouts_running", "Rollouts that have not ended.",
        numbers.rollouts_running);
  gauge("berth_scheduler_unplaced_process_types", "Process types that no host has room for.",
        numbers.unplaced_process_types);
  gauge("berth_scheduler_memory_bytes", "Memory of the hosts that are up.", numbers.memory_bytes);
  gauge("berth_scheduler_memory_promised_bytes",
        "Memory of the hosts that are up that is promised to instances.",
        numbers.memory_bytes_promised);
}

}  // namespace

SchedulerMetrics::SchedulerMetrics(Metrics* metrics, Service* service) {
  auto counter = [metrics](const char* name, const char* help,
                           const prometheus::Labels& labels = {}) {
    return &prometheus::BuildCounter()
                .Name(name)
                .Help(help)
                .Register(metrics->registry())
                .Add(labels);
  };
  constexpr char kEnded[] = "berth_scheduler_rollouts_ended_total";
  constexpr char kEndedHelp[] = "Rollouts that ended, by outcome.";
  auto* const started = counter("berth_scheduler_rollouts_started_total", "Rollouts begun.");
  auto* const succeeded = counter(kEnded, kEndedHelp, {{"outcome", "succeeded"}});
  auto* const failed = counter(kEnded, kEndedHelp, {{"outcome", "failed"}});
  auto* const placed = counter("berth_scheduler_placements_total", "Instances placed.");
  auto* const refused = counter("berth_scheduler_placements_refused_total",
                                "Times that no host had room for a process type, by new reasons.");
  auto* const instance_failures =
      counter("berth_scheduler_instance_failures_total", "Instances that were seen to fail.");
  service->SetObserver([=](const v1::Event& event) {
    if (event.has_rollout_started()) started->Increment();
    if (event.has_rollout_succeeded()) succeeded->Increment();
    if (event.has_rollout_failed()) failed->Increment();
    if (event.has_instance_placed()) placed->Increment();
    if (event.has_placement_refused()) refused->Increment();
    if (event.instance_observed().observed().phase() == v1::PHASE_FAILED) {
      instance_failures->Increment();
    }
  });
  fleet_ = metrics->AddSource([service](MetricsPage* page) {
    const auto numbers = Ask<absl::StatusOr<FleetNumbers>>(
        [service](auto answer) { service->CountFleet(std::move(answer)); });
    if (numbers.has_value() && numbers->ok()) AddFleet(page, **numbers);
  });
}

}  // namespace berth::scheduler
