#include "agent/agent_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include <map>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "common/metrics/ask.h"

namespace berth::agent {
namespace {

// Seconds: from what a running instance is asked to fetching an image.
const prometheus::Histogram::BucketBoundaries& DriverSeconds() {
  static const auto* const boundaries = new prometheus::Histogram::BucketBoundaries{
      .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300};
  return *boundaries;
}

// "ready" for PHASE_READY; what is not known yet is "unknown".
std::string Word(scheduler::v1::Phase phase) {
  const std::string name = scheduler::v1::Phase_Name(phase);
  const std::string word = absl::AsciiStrToLower(absl::StripPrefix(name, "PHASE_"));
  return word == "unspecified" ? "unknown" : word;
}

struct Seen {
  std::map<scheduler::v1::Phase, size_t> instances;
  uint64_t applied_position = 0;
};

}  // namespace

// What the registry owns.
struct AgentMetrics::Counted {
  struct Operation {
    prometheus::Histogram* seconds;
    prometheus::Counter* errors;
  };
  std::map<std::string, Operation, std::less<>> operations;
  prometheus::Counter* reports_sent;
  prometheus::Counter* reports_failed;
  prometheus::Gauge* last_report;
  prometheus::Counter* checks_passed;
  prometheus::Counter* checks_failed;
};

AgentMetrics::AgentMetrics(Metrics* metrics, const Clock* clock)
    : metrics_(metrics), clock_(clock), counted_([metrics] {
        auto counted = std::make_shared<Counted>();
        auto counter = [metrics](const char* name, const char* help,
                                 const prometheus::Labels& labels) {
          return &prometheus::BuildCounter()
                      .Name(name)
                      .Help(help)
                      .Register(metrics->registry())
                      .Add(labels);
        };
        auto& seconds = prometheus::BuildHistogram()
                            .Name("berth_agent_driver_call_seconds")
                            .Help("How long calls of the driver took, failed ones too.")
                            .Register(metrics->registry());
        for (const std::string& operation : MeasuredDriver::Operations()) {
          const prometheus::Labels labels = {{"operation", operation}};
          counted->operations[operation] = {&seconds.Add(labels, DriverSeconds()),
                                            counter("berth_agent_driver_errors_total",
                                                    "Calls of the driver that failed.", labels)};
        }
        constexpr char kReports[] = "berth_agent_reports_total";
        constexpr char kReportsHelp[] = "Reports to the scheduler, by result.";
        counted->reports_sent = counter(kReports, kReportsHelp, {{"result", "sent"}});
        counted->reports_failed = counter(kReports, kReportsHelp, {{"result", "failed"}});
        counted->last_report = &prometheus::BuildGauge()
                                    .Name("berth_agent_last_report_timestamp_seconds")
                                    .Help("When the scheduler last took a report, since 1970.")
                                    .Register(metrics->registry())
                                    .Add({});
        constexpr char kChecks[] = "berth_agent_checks_total";
        constexpr char kChecksHelp[] = "Checks of instances, by result.";
        counted->checks_passed = counter(kChecks, kChecksHelp, {{"result", "passed"}});
        counted->checks_failed = counter(kChecks, kChecksHelp, {{"result", "failed"}});
        return counted;
      }()) {}

MeasuredDriver::Told AgentMetrics::DriverCalls() const {
  return [counted = counted_](absl::string_view operation, const absl::Status& status,
                              absl::Duration took) {
    const Counted::Operation& of = counted->operations.at(std::string(operation));
    of.seconds->Observe(absl::ToDoubleSeconds(took));
    if (!status.ok()) of.errors->Increment();
  };
}

void AgentMetrics::MeasureReportsAndChecks(Dependencies* dependencies) const {
  dependencies->send_report =
      [counted = counted_, clock = clock_, send = dependencies->send_report](
          const scheduler::v1::ReportRequest& report, std::function<void(absl::Status)> done) {
        send(report, [counted, clock, done = std::move(done)](absl::Status status) {
          (status.ok() ? counted->reports_sent : counted->reports_failed)->Increment();
          if (status.ok())
            counted->last_report->Set(absl::ToDoubleSeconds(clock->Now() - absl::UnixEpoch()));
          done(std::move(status));
        });
      };
  dependencies->run_check = [counted = counted_,
                             run = dependencies->run_check](const CheckRequest& request) {
    CheckResult result = run(request);
    (result.passed ? counted->checks_passed : counted->checks_failed)->Increment();
    return result;
  };
}

Metrics::Registration AgentMetrics::AddAgent(const Agent* agent, Executor* loop) const {
  return metrics_->AddSource([agent, loop](MetricsPage* page) {
    const auto seen = Ask<Seen>([agent, loop](auto answer) {
      loop->Post([agent, answer = std::move(answer)] {
        answer({agent->InstancesByPhase(), agent->applied_position()});
      });
    });
    if (!seen.has_value()) return;
    for (int i = scheduler::v1::Phase_MIN; i <= scheduler::v1::Phase_MAX; ++i) {
      const auto phase = static_cast<scheduler::v1::Phase>(i);
      if (!scheduler::v1::Phase_IsValid(i)) continue;
      const auto count = seen->instances.find(phase);
      page->Gauge("berth_agent_instances", "Instances of this host, by phase.",
                  {{"phase", Word(phase)}},
                  count == seen->instances.end() ? 0 : static_cast<double>(count->second));
    }
    page->Gauge("berth_agent_applied_position",
                "Position of the scheduler's log whose desired state the agent acts on.", {},
                static_cast<double>(seen->applied_position));
  });
}

Metrics::Registration AgentMetrics::AddReadyCheck(const Agent* agent, Executor* loop) const {
  return metrics_->AddReadyCheck([agent, loop]() -> absl::Status {
    const auto acting = Ask<bool>([agent, loop](auto answer) {
      loop->Post([agent, answer = std::move(answer)] { answer(agent->IsActing()); });
    });
    if (!acting.has_value()) return absl::UnavailableError("the agent's loop does not answer");
    if (*acting) return absl::OkStatus();
    return absl::UnavailableError("what runs, or what is desired, is not known yet");
  });
}

}  // namespace berth::agent
