#include "agent/agent_metrics.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/match.h"
#include "agent/runtime/fake_driver.h"
#include "common/clock/manual_clock.h"
#include "common/executor/thread_executor.h"
#include "common/sync/notification.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"
#include "common/watch/watch_cache.h"

namespace berth::agent {
namespace {

TEST_CASE("an agent's driver, reports and checks are counted", "[agent][metrics]") {
  Metrics metrics("agent");
  ManualClock clock;
  FakeDriver fake(&clock);
  const AgentMetrics agent_metrics(&metrics, &clock);
  CHECK(absl::StrContains(metrics.Text(),
                          "berth_agent_driver_errors_total{operation=\"start\"} 0\n"));

  const MeasuredDriver::Told told = agent_metrics.DriverCalls();
  told("start", absl::OkStatus(), absl::Milliseconds(700));
  told("start", absl::UnavailableError("no answer"), absl::Seconds(2));

  Dependencies dependencies;
  absl::Status answer = absl::UnavailableError("away");
  dependencies.send_report = [&](const auto&, auto done) { done(answer); };
  dependencies.run_check = [](const CheckRequest& request) {
    return CheckResult{request.address == "fd00::1"};
  };
  agent_metrics.MeasureReportsAndChecks(&dependencies);
  absl::Status done;
  auto report = [&] {
    dependencies.send_report(scheduler::v1::ReportRequest(),
                             [&](absl::Status status) { done = std::move(status); });
  };
  report();
  CHECK(done == answer);
  CHECK(absl::StrContains(metrics.Text(), "berth_agent_last_report_timestamp_seconds 0\n"));
  answer = absl::OkStatus();
  report();
  CHECK(done.ok());
  CheckRequest request;
  request.address = "fd00::1";
  CHECK(dependencies.run_check(request).passed);
  request.address = "fd00::2";
  CHECK_FALSE(dependencies.run_check(request).passed);
  CHECK_FALSE(dependencies.run_check(request).passed);

  const std::string page = metrics.Text();
  for (const char* line :
       {"berth_agent_driver_errors_total{operation=\"start\"} 1\n",
        "berth_agent_driver_call_seconds_count{operation=\"start\"} 2\n",
        "berth_agent_driver_call_seconds_bucket{operation=\"start\",le=\"1\"} 1\n",
        "berth_agent_reports_total{result=\"sent\"} 1\n",
        "berth_agent_reports_total{result=\"failed\"} 1\n",
        "berth_agent_checks_total{result=\"passed\"} 1\n",
        "berth_agent_checks_total{result=\"failed\"} 2\n"}) {
    INFO(line);
    CHECK(absl::StrContains(page, line));
  }
  CHECK_FALSE(absl::StrContains(page, "berth_agent_last_report_timestamp_seconds 0\n"));
  CHECK_FALSE(absl::StrContains(page, "fd00"));
}

TEST_CASE("an agent is ready once it knows what runs and what is desired", "[agent][metrics]") {
  Metrics metrics("agent");
  ManualClock clock;
  FakeDriver fake(&clock);
  const berth::testing::TempDir folder;
  const WatchCache cache(folder.File("desired"));
  const AgentMetrics agent_metrics(&metrics, &clock);
  ThreadExecutor worker("worker");
  ThreadExecutor loop("loop");
  Dependencies dependencies;
  dependencies.driver = &fake;
  dependencies.loop = &loop;
  dependencies.workers = {&worker};
  dependencies.checkers = {&worker};
  dependencies.clock = &clock;
  dependencies.cache = &cache;
  dependencies.run_check = [](const CheckRequest&) { return CheckResult{true}; };
  dependencies.collect_facts = [] { return scheduler::v1::HostFacts(); };
  dependencies.send_report = [](const auto&, auto) {};
  Agent agent(dependencies);
  const auto seen = agent_metrics.AddAgent(&agent, &loop);
  const auto ready = agent_metrics.AddReadyCheck(&agent, &loop);
  CHECK(absl::StrContains(metrics.Ready().message(), "not known yet"));
  CHECK(absl::StrContains(metrics.Text(), "berth_agent_instances{phase=\"ready\"} 0\n"));
  CHECK(absl::StrContains(metrics.Text(), "berth_agent_instances{phase=\"unknown\"} 0\n"));

  watch::v1::Revision revision;
  revision.set_position(7);
  Notification listed;
  loop.Post([&] {
    agent.Start(WatchClient({}, revision));
    // Behind what Start asked of the worker, and what the worker answered.
    worker.Post([&] { loop.Post([&] { listed.Notify(); }); });
  });
  listed.WaitForNotification();
  CHECK(metrics.Ready() == absl::OkStatus());
  CHECK(absl::StrContains(metrics.Text(), "berth_agent_applied_position 7\n"));

  loop.Stop();
  CHECK(absl::StrContains(metrics.Ready().message(), "does not answer"));
  worker.Stop();
}

}  // namespace
}  // namespace berth::agent
