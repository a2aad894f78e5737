#include "agent/agent.h"

#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/runtime/fake_driver.h"
#include "common/clock/manual_clock.h"
#include "common/executor/manual_executor.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth::agent {
namespace {

using scheduler::v1::Assignment;
using scheduler::v1::InstanceReport;
using scheduler::v1::ReportRequest;

constexpr char kWeb[] = "web-1";
constexpr char kImage[] = "registry.example/notes@sha256:1";

Assignment Run(const std::string& instance, uint32_t attempt = 1) {
  Assignment assignment;
  assignment.set_instance(instance);
  assignment.set_attempt(attempt);
  assignment.set_intent(scheduler::v1::INTENT_RUN);
  assignment.set_image(kImage);
  assignment.set_address(std::string(16, '\x01'));
  return assignment;
}

Assignment Checked(Assignment assignment) {
  config::v1::Process* process = assignment.mutable_process();
  (*process->mutable_ports())["http"].set_port(80);
  process->mutable_ready()->mutable_tcp()->set_port("http");
  return assignment;
}

// Live checks are commands here, and ready checks are not.
Assignment LiveChecked(Assignment assignment) {
  config::v1::Probe* live = assignment.mutable_process()->mutable_live();
  live->mutable_exec()->add_command("/ping");
  live->mutable_interval()->set_seconds(10);
  live->set_failures(2);
  return assignment;
}

Assignment WithSecrets(Assignment assignment) {
  assignment.mutable_process()->mutable_secrets()->add_names("api-key");
  assignment.mutable_secret_grant()->set_grant("a grant");
  return assignment;
}

Assignment ToStop(Assignment assignment) {
  assignment.set_intent(scheduler::v1::INTENT_STOP);
  return assignment;
}

// What survives an agent: the machine, its disk and what runs on it; and what the control plane
// wants of it.
struct Machine {
  // Wants exactly these, since the next revision.
  void Want(const std::vector<Assignment>& assignments) {
    WatchClient::Entries entries;
    for (const Assignment& assignment : assignments) {
      entries[absl::StrCat("instance/", assignment.instance())] = assignment.SerializeAsString();
    }
    update = WatchClient::Update();
    for (const auto& [key, value] : entries) {
      const auto before = wanted.entries().find(key);
      if (before == wanted.entries().end() || before->second != value) update.keys.push_back(key);
    }
    for (const auto& [key, value] : wanted.entries()) {
      if (!entries.contains(key)) update.keys.push_back(key);
    }
    watch::v1::Revision revision;
    revision.set_position(++position);
    revision.set_hash("0123456789abcdef");
    update.revision = revision;
    wanted = WatchClient(entries, revision);
  }

  ManualClock clock;
  FakeDriver driver{&clock};
  berth::testing::TempDir folder;
  WatchCache cache{folder.File("desired")};
  WatchClient wanted;
  WatchClient::Update update;  // What the last Want changed.
  uint64_t position = 0;
};

// Counts what is begun on it.
struct CountingExecutor : ManualExecutor {
  using ManualExecutor::ManualExecutor;

  void Post(Step step) override {
    ++posted;
    ManualExecutor::Post(std::move(step));
  }

  int posted = 0;
};

// One life of the machine's agent.
struct Life {
  explicit Life(Machine* on) : machine(on) { agent.Start(*machine->cache.Load()); }

  // Everything that is due, until nothing more comes of it.
  void Settle() {
    constexpr int kHopsMax = 20;  // From the loop to a worker and back counts two.
    for (int hop = 0; hop < kHopsMax; ++hop) {
      loop.RunUntilIdle();
      worker.RunUntilIdle();
      checker.RunUntilIdle();
    }
  }

  void Pass(absl::Duration time) {
    constexpr absl::Duration kTick = absl::Milliseconds(250);
    for (absl::Duration passed; passed < time; passed += kTick) {
      machine->clock.Advance(kTick);
      Settle();
    }
  }

  // The watch brings what the machine is wanted to run.
  void Hear() { agent.DesiredChanged(machine->wanted, machine->update); }

  void Want(const std::vector<Assignment>& assignments) {
    machine->Want(assignments);
    Hear();
    Settle();
  }

  void Exit(const std::string& instance, int code) {
    machine->driver.Exit(instance, code);
    agent.InstanceExited(instance);
    Settle();
  }

  // What the last report says of an instance; nullopt: nothing.
  std::optional<InstanceReport> Reported(const std::string& instance = kWeb) const {
    REQUIRE_FALSE(reports.empty());
    for (const InstanceReport& report : reports.back().instances()) {
      if (report.instance() == instance) return report;
    }
    return std::nullopt;
  }

  scheduler::v1::Phase PhaseOf(const std::string& instance = kWeb) const {
    const auto report = Reported(instance);
    return report.has_value() ? report->phase() : scheduler::v1::PHASE_UNSPECIFIED;
  }

  bool EverReported(scheduler::v1::Phase phase, const std::string& instance = kWeb) const {
    return std::any_of(reports.begin(), reports.end(), [&](const ReportRequest& request) {
      return std::any_of(request.instances().begin(), request.instances().end(),
                         [&](const InstanceReport& report) {
                           return report.instance() == instance && report.phase() == phase;
                         });
    });
  }

  Machine* const machine;
  ManualExecutor loop{&machine->clock};
  CountingExecutor worker{&machine->clock};
  ManualExecutor checker{&machine->clock};
  CheckResult check;             // What every ready check comes to.
  CheckResult live_check{true};  // The same of live checks.
  std::vector<CheckRequest> checks;
  absl::Status report_status;
  std::vector<ReportRequest> reports;
  absl::Status secrets_status;         // Of what is prepared.
  std::vector<std::string> prepared;   // Instances, each time.
  std::vector<std::string> forgotten;  // Likewise.
  int attached = 0;                    // How often.
  Agent agent{{&machine->driver,
               &loop,
               {&worker},
               {&checker},
               &machine->clock,
               &machine->cache,
               "berth",
               [this](const CheckRequest& request) {
                 checks.push_back(request);
                 return std::holds_alternative<ExecCheck>(request.check) ? live_check : check;
               },
               [this] {
                 scheduler::v1::HostFacts facts;
                 const auto images = machine->driver.LocalImages();
                 for (const LocalImage& image : images.value_or(std::vector<LocalImage>())) {
                   facts.add_local_images(image.digest);
                 }
                 facts.set_agent_version("1");
                 facts.add_problems("a problem with \xff bytes");
                 return facts;
               },
               [this](const Assignment& assignment) -> absl::StatusOr<GivenSecrets> {
                 prepared.push_back(assignment.instance());
                 if (!secrets_status.ok()) return secrets_status;
                 return GivenSecrets{"/memory/" + assignment.instance(), {}};
               },
               [this](const std::string& instance) {
                 forgotten.push_back(instance);
                 return absl::OkStatus();
               },
               [this](const ReportRequest& request, std::function<void(absl::Status)> done) {
                 // As the wire would have it.
                 ReportRequest received;
                 REQUIRE(received.ParseFromString(request.SerializeAsString()));
                 if (report_status.ok()) reports.push_back(received);
                 done(report_status);
               },
               [this] { ++attached; }}};
};

using Calls = std::vector<std::string>;

TEST_CASE("an assignment is started, and ready as soon as it runs where nothing is checked",
          "[agent]") {
  Machine machine;
  Life life(&machine);
  life.Want({Run(kWeb)});
  CHECK(machine.driver.calls() ==
        Calls{absl::StrCat("pull ", kImage), absl::StrCat("start ", kWeb, "#1")});
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_READY);
  CHECK(life.Reported()->attempt() == 1);
  CHECK(life.reports.back().applied().position() == 1);
  CHECK(life.reports.back().facts().agent_version() == "1");
  CHECK(life.agent.HandleOf(kWeb).has_value());
  CHECK(life.attached == 1);
}

TEST_CASE("a new image is reported at once, also one made while images are looked at", "[agent]") {
  Machine machine;
  Life life(&machine);
  life.Settle();
  CHECK(life.reports.back().facts().local_images().empty());
  machine.driver.AddLocalImage({.id = {}, .digest = "sha256:1", .names = {}});
  life.agent.ImagesChanged();
  // The second one is made when the worker has looked already.
  life.worker.RunUntilIdle();
  machine.driver.AddLocalImage({.id = {}, .digest = "sha256:2", .names = {}});
  life.agent.ImagesChanged();
  life.Settle();
  CHECK(life.reports.back().facts().local_images().size() == 2);
}

TEST_CASE("with a check an instance is ready once that passes", "[agent]") {
  Machine machine;
  Life life(&machine);
  life.check = {false, "connection refused"};
  life.Want({Checked(Run(kWeb))});
  life.Pass(absl::Seconds(1));
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_STARTING);
  CHECK(life.Reported()->reason() == "connection refused");
  life.check = {true};
  life.Pass(absl::Seconds(1));
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_READY);
  CHECK(life.Reported()->reason().empty());
  REQUIRE_FALSE(life.checks.empty());
  CHECK(life.checks[0].address == "101:101:101:101:101:101:101:101");
  CHECK(std::get<TcpCheck>(life.checks[0].check).port == 80);
  SECTION("and unready when it fails for a while") {
    life.check = {false, "timed out"};
    life.Pass(absl::Seconds(30));
    CHECK(life.PhaseOf() == scheduler::v1::PHASE_UNREADY);
    CHECK(life.Reported()->reason() == "timed out");
  }
}

TEST_CASE(
    "an instance whose live check fails is stopped, has failed, and waits for another attempt",
    "[agent]") {
  Machine machine;
  machine.driver.SetScript(kWeb, {.log = {"stuck"}});
  Life life(&machine);
  life.check = {false, "not yet"};
  life.live_check = {false, "exit code 1"};
  life.Want({LiveChecked(Checked(Run(kWeb)))});
  life.Pass(absl::Minutes(1));
  // It is asked whether it still works once it did.
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_STARTING);
  life.check = {true};
  life.live_check = {true};
  life.Pass(absl::Minutes(1));
  REQUIRE(life.PhaseOf() == scheduler::v1::PHASE_READY);

  life.live_check = {false, "exit code 1"};
  life.Pass(absl::Seconds(10));
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_READY);
  SECTION("after as many failures as were asked for") {
    life.Pass(absl::Seconds(10));
    REQUIRE(life.PhaseOf() == scheduler::v1::PHASE_FAILED);
    CHECK(life.EverReported(scheduler::v1::PHASE_UNREADY));
    CHECK(life.Reported()->failure() == scheduler::v1::FAILURE_LIVE_CHECK);
    CHECK(life.Reported()->reason() == "its live check failed: exit code 1");
    CHECK_FALSE(life.Reported()->has_exit_code());
    CHECK(life.Reported()->log_tail_size() == 1);
    CHECK(machine.driver.calls().back() == "stop web-1#1");
    life.Pass(absl::Minutes(1));
    CHECK(machine.driver.calls().back() == "stop web-1#1");

    life.live_check = {true};
    life.Want({LiveChecked(Checked(Run(kWeb, 2)))});
    life.Pass(absl::Minutes(1));
    CHECK(life.PhaseOf() == scheduler::v1::PHASE_READY);
  }
  SECTION("not where one of them passes between") {
    life.live_check = {true};
    life.Pass(absl::Seconds(10));
    life.live_check = {false, "exit code 1"};
    life.Pass(absl::Seconds(10));
    CHECK(life.PhaseOf() == scheduler::v1::PHASE_READY);
  }
  SECTION("again and again where the runtime is away") {
    machine.driver.SetUnavailable(absl::UnavailableError("away"));
    life.Pass(absl::Minutes(1));
    CHECK(life.PhaseOf() == scheduler::v1::PHASE_UNREADY);
    machine.driver.SetUnavailable(absl::OkStatus());
    life.Pass(absl::Seconds(10));
    CHECK(life.PhaseOf() == scheduler::v1::PHASE_FAILED);
  }
}

TEST_CASE("an adopted instance is asked whether it still works", "[agent]") {
  Machine machine;
  Life(&machine).Want({LiveChecked(Run(kWeb))});
  Life second(&machine);
  second.Settle();
  REQUIRE(second.PhaseOf() == scheduler::v1::PHASE_READY);
  second.live_check = {false, "exit code 1"};
  second.Pass(absl::Minutes(1));
  CHECK(second.PhaseOf() == scheduler::v1::PHASE_FAILED);
}

TEST_CASE("an image is fetched when its manifest says", "[agent]") {
  Machine machine;
  Life life(&machine);
  Assignment assignment = Run(kWeb);
  SECTION("never") {
    assignment.set_image_pull(config::v1::IMAGE_PULL_NEVER);
    life.Want({assignment});
    CHECK(life.Reported()->failure() == scheduler::v1::FAILURE_IMAGE);
    CHECK(machine.driver.calls().empty());
  }
  SECTION("before every start") {
    assignment.set_image_pull(config::v1::IMAGE_PULL_ALWAYS);
    life.Want({assignment});
    assignment.set_attempt(2);
    life.Want({assignment});
    const Calls calls = machine.driver.calls();
    CHECK(std::count(calls.begin(), calls.end(), absl::StrCat("pull ", kImage)) == 2);
  }
}

TEST_CASE("an exit is reported with its code and the last lines, and waits for another attempt",
          "[agent]") {
  Machine machine;
  machine.driver.SetScript(kWeb, {.log = {"first", "not text: \xff", std::string(9000, 'x')}});
  Life life(&machine);
  life.Want({Run(kWeb)});
  life.Exit(kWeb, 3);
  REQUIRE(life.PhaseOf() == scheduler::v1::PHASE_FAILED);
  CHECK(life.Reported()->exit_code() == 3);
  CHECK_THAT(life.Reported()->reason(), Catch::Contains("code 3"));
  REQUIRE(life.Reported()->log_tail_size() == 3);
  CHECK(life.Reported()->log_tail(0) == "first");
  CHECK(life.Reported()->log_tail(1) == "not text: \ufffd");
  CHECK(life.Reported()->log_tail(2).size() == Agent::kLogTailLineBytesMax);
  life.Pass(absl::Minutes(1));
  CHECK(machine.driver.calls().back() == "start web-1#1");
  life.Want({Run(kWeb, 2)});
  CHECK(machine.driver.calls().back() == "start web-1#2");
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_READY);
  CHECK(life.Reported()->attempt() == 2);
  CHECK(life.Reported()->log_tail().empty());
  CHECK_FALSE(life.Reported()->has_exit_code());
}

TEST_CASE("an exit that comes before its start was taken note of is not missed", "[agent]") {
  Machine machine;
  Life life(&machine);
  machine.Want({Run(kWeb)});
  life.Hear();
  life.Settle();
  machine.Want({Run(kWeb, 2)});
  life.Hear();
  life.loop.RunUntilIdle();
  life.worker.RunUntilIdle();  // Starts; the loop has not heard of it.
  machine.driver.Exit(kWeb, 1);
  life.agent.InstanceExited(kWeb);
  life.Settle();
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_FAILED);
}

TEST_CASE("what cannot be started has failed", "[agent]") {
  Machine machine;
  Life life(&machine);
  SECTION("for lack of its image") {
    machine.driver.SetImageError(kImage, absl::NotFoundError("no such image"));
    life.Want({Run(kWeb)});
    REQUIRE(life.PhaseOf() == scheduler::v1::PHASE_FAILED);
    CHECK(life.Reported()->reason() == "no such image");
  }
  SECTION("by the driver's word") {
    machine.driver.SetScript(kWeb, {.start = absl::FailedPreconditionError("no cgroups")});
    life.Want({Run(kWeb)});
    REQUIRE(life.PhaseOf() == scheduler::v1::PHASE_FAILED);
    CHECK(life.Reported()->reason() == "no cgroups");
  }
  const Calls calls = machine.driver.calls();
  life.Pass(absl::Minutes(1));
  CHECK(machine.driver.calls() == calls);
}

TEST_CASE("a runtime that is away is no failure of the instance", "[agent]") {
  Machine machine;
  Life life(&machine);
  life.Want({});
  machine.driver.SetUnavailable(absl::UnavailableError("podman is not running"));
  life.Want({Run(kWeb)});
  life.Pass(absl::Seconds(10));
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_PULLING);
  CHECK(life.Reported()->reason() == "podman is not running");
  machine.driver.SetUnavailable(absl::OkStatus());
  life.Pass(2 * Agent::kRetryDelay);
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_READY);
  CHECK(life.Reported()->attempt() == 1);
}

TEST_CASE("an instance is given its secrets before each start", "[agent]") {
  Machine machine;
  Life life(&machine);
  life.Want({WithSecrets(Run(kWeb)), Run("worker-1")});
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_READY);
  CHECK(life.prepared == std::vector<std::string>{kWeb});
  life.Exit(kWeb, 1);
  life.Want({WithSecrets(Run(kWeb, 2)), Run("worker-1")});
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_READY);
  CHECK(life.prepared == std::vector<std::string>{kWeb, kWeb});
  CHECK(life.forgotten.empty());
  SECTION("and a restarted machine's too") {
    Machine rebooted;
    rebooted.Want({WithSecrets(Run(kWeb, 2))});
    Life first(&rebooted);
    first.Hear();
    first.Settle();
    CHECK(first.prepared == std::vector<std::string>{kWeb});
  }
  SECTION("and has none any more once it is gone") {
    life.Want({});
    CHECK(life.forgotten == std::vector<std::string>{kWeb, "worker-1"});
  }
}

TEST_CASE("an instance that cannot have its secrets waits and has not failed", "[agent]") {
  Machine machine;
  Life life(&machine);
  life.secrets_status = absl::UnavailableError("berth-secrets does not answer");
  life.Want({WithSecrets(Run(kWeb))});
  life.Pass(absl::Minutes(2));
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_STARTING);
  CHECK(life.Reported()->reason() == "waits for its secrets: berth-secrets does not answer");
  CHECK_FALSE(life.EverReported(scheduler::v1::PHASE_FAILED));
  // At once, after 1, 2, 4 and 8 seconds, then every 10.
  CHECK(life.prepared.size() == 15);
  life.secrets_status = absl::OkStatus();
  life.Pass(Agent::kSecretsRetryDelayMax);
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_READY);
  CHECK(life.Reported()->attempt() == 1);
  SECTION("and stops as asked while it waits") {
    life.secrets_status = absl::UnavailableError("berth-secrets does not answer");
    life.Want({WithSecrets(Run("web-2"))});
    life.Want({ToStop(WithSecrets(Run("web-2")))});
    life.Pass(2 * Agent::kRetryDelay);
    CHECK(life.PhaseOf("web-2") == scheduler::v1::PHASE_STOPPED);
  }
}

TEST_CASE("each instance waits before it is tried again, however many others fail", "[agent]") {
  constexpr int kInstances = 4;
  constexpr int kSeconds = 20;
  Machine machine;
  Life life(&machine);
  life.Want({});
  machine.driver.SetUnavailable(absl::UnavailableError("podman is not running"));
  std::vector<Assignment> assignments;
  for (int i = 0; i < kInstances; ++i) {
    // Each at a time of its own, so that what one's retry does to the others shows.
    assignments.push_back(Run(absl::StrCat("web-", i)));
    life.Want(assignments);
    life.Pass(absl::Milliseconds(250));
  }
  const int posted_before = life.worker.posted;
  life.Pass(absl::Seconds(kSeconds));
  // Facts are collected on the worker, too.
  CHECK(life.worker.posted - posted_before <= (kInstances + 1) * kSeconds);
}

TEST_CASE("an instance that is to stop is stopped, and destroyed once it is wanted no more",
          "[agent]") {
  Machine machine;
  Life life(&machine);
  life.Want({Run(kWeb)});
  life.Want({ToStop(Run(kWeb))});
  CHECK(machine.driver.calls().back() == "stop web-1#1");
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_STOPPED);
  CHECK(life.agent.HandleOf(kWeb).has_value());  // Its log can be read still.
  life.Want({});
  CHECK(machine.driver.calls().back() == "destroy web-1#1");
  CHECK_FALSE(life.agent.HandleOf(kWeb).has_value());
  life.Pass(Agent::kReportInterval);
  CHECK_FALSE(life.Reported().has_value());
}

TEST_CASE("an instance that is to stop and is not there has stopped", "[agent]") {
  Machine machine;
  Life life(&machine);
  life.Want({ToStop(Run(kWeb))});
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_STOPPED);
  CHECK(machine.driver.calls().empty());
}

TEST_CASE("a restarted agent adopts what runs and restarts nothing", "[agent]") {
  Machine machine;
  {
    Life life(&machine);
    life.check = {true};
    life.Want({Checked(Run(kWeb)), Run("worker-1")});
    life.Pass(absl::Seconds(1));
    REQUIRE(life.PhaseOf() == scheduler::v1::PHASE_READY);
  }
  const Calls before = machine.driver.calls();
  SECTION("with the control plane away, from its cache") {
    Life life(&machine);
    life.check = {true};
    life.Pass(absl::Minutes(1));
    CHECK(machine.driver.calls() == before);
    CHECK(life.PhaseOf() == scheduler::v1::PHASE_READY);
    CHECK(life.PhaseOf("worker-1") == scheduler::v1::PHASE_READY);
  }
  SECTION("and says nothing of an instance's health before it has checked") {
    Life life(&machine);
    life.loop.RunUntilIdle();
    life.worker.RunUntilIdle();
    life.loop.RunUntilIdle();
    CHECK_FALSE(life.Reported().has_value());
    life.check = {true};
    life.Settle();
    CHECK(life.PhaseOf() == scheduler::v1::PHASE_READY);
    CHECK_FALSE(life.EverReported(scheduler::v1::PHASE_STARTING));
  }
  SECTION("also where it has lost its cache, and hears only later what is desired") {
    REQUIRE(remove(machine.folder.File("desired").c_str()) == 0);
    Life life(&machine);
    life.check = {false, "connection refused"};
    life.Pass(absl::Seconds(10));
    CHECK(machine.driver.calls() == before);  // Above all, nothing is destroyed.
    CHECK_FALSE(life.EverReported(scheduler::v1::PHASE_READY));
    machine.Want({});
    machine.Want({Checked(Run(kWeb)), Run("worker-1")});
    life.Hear();
    life.Pass(absl::Minutes(1));
    CHECK(machine.driver.calls() == before);
    CHECK(life.PhaseOf() == scheduler::v1::PHASE_UNREADY);
    CHECK_FALSE(life.checks.empty());
    CHECK(life.PhaseOf("worker-1") == scheduler::v1::PHASE_READY);
  }
  SECTION("and reports what ended meanwhile") {
    machine.driver.Exit(kWeb, 7);
    Life life(&machine);
    life.Settle();
    CHECK(life.PhaseOf() == scheduler::v1::PHASE_FAILED);
    CHECK(life.Reported()->exit_code() == 7);
  }
  SECTION("and does what it was told meanwhile") {
    Life life(&machine);
    life.Want({ToStop(Checked(Run(kWeb)))});
    CHECK(machine.driver.calls() ==
          Calls{before[0], before[1], before[2], "stop web-1#1", "destroy worker-1#1"});
  }
}

TEST_CASE("a machine that restarts begins again what is desired", "[agent]") {
  Machine machine;
  {
    Life life(&machine);
    life.Want({Run(kWeb)});
  }
  // After a reboot nothing runs and the driver knows of nothing.
  REQUIRE(machine.driver.Destroy({"fake-web-1#1"}).ok());
  Life life(&machine);
  life.Settle();
  CHECK(machine.driver.calls().back() == "start web-1#1");
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_READY);
}

TEST_CASE("an agent that cannot store what is desired does not claim to have applied it",
          "[agent]") {
  Machine machine;
  Life life(&machine);
  life.Want({Run(kWeb)});
  // A folder in the file's place: it can be neither written nor replaced.
  REQUIRE(remove(machine.folder.File("desired").c_str()) == 0);
  REQUIRE(mkdir(machine.folder.File("desired").c_str(), 0700) == 0);
  life.Want({Run(kWeb), Run("web-2")});
  life.Pass(Agent::kReportInterval);
  CHECK(life.reports.back().applied().position() == 1);
  CHECK_FALSE(life.Reported("web-2").has_value());
  SECTION("and catches up with the next change") {
    REQUIRE(remove(machine.folder.File("desired").c_str()) == 0);
    life.Want({Run("web-2"), Run("web-3")});
    CHECK(life.reports.back().applied().position() == 3);
    CHECK(life.PhaseOf("web-2") == scheduler::v1::PHASE_READY);
    CHECK(life.PhaseOf("web-3") == scheduler::v1::PHASE_READY);
    CHECK_FALSE(life.agent.HandleOf(kWeb).has_value());
  }
  SECTION("or with the next sign of life") {
    REQUIRE(remove(machine.folder.File("desired").c_str()) == 0);
    machine.update.keys.clear();
    life.Hear();
    life.Settle();
    CHECK(life.PhaseOf("web-2") == scheduler::v1::PHASE_READY);
  }
}

TEST_CASE("a control plane with another history stops nothing that runs", "[agent]") {
  Machine machine;
  Life life(&machine);
  life.Want({Run(kWeb), Run("web-2")});
  machine.Want({Run("web-2")});
  machine.update.snapshot = true;
  machine.update.history_changed = true;
  life.Hear();
  life.Pass(absl::Minutes(1));
  CHECK(life.agent.HandleOf(kWeb).has_value());
  CHECK(life.PhaseOf("web-2") == scheduler::v1::PHASE_READY);
  const Calls calls = machine.driver.calls();
  CHECK(std::count(calls.begin(), calls.end(), "destroy web-1#1") == 0);
  SECTION("nor after a restart of the agent") {
    Life later(&machine);
    later.Pass(absl::Minutes(1));
    CHECK(machine.driver.calls() == calls);
    CHECK(later.PhaseOf() == scheduler::v1::PHASE_READY);
  }
  SECTION("until it is told to") {
    life.Want({ToStop(Run(kWeb)), Run("web-2")});
    CHECK(machine.driver.calls().back() == "stop web-1#1");
    life.Want({Run("web-2")});
    CHECK(machine.driver.calls().back() == "destroy web-1#1");
  }
}

TEST_CASE("reports are sent at an interval, and after an error again", "[agent]") {
  Machine machine;
  Life life(&machine);
  life.Settle();
  const size_t first = life.reports.size();
  REQUIRE(first >= 1);
  life.Pass(3 * Agent::kReportInterval);
  CHECK(life.reports.size() == first + 3);
  life.report_status = absl::UnavailableError("away");
  life.Want({Run(kWeb)});
  life.Pass(absl::Minutes(1));
  CHECK(life.reports.size() == first + 3);
  life.report_status = absl::OkStatus();
  life.Pass(2 * Agent::kRetryDelay);
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_READY);
}

TEST_CASE("an exit that nobody told of is found when exits are watched again", "[agent]") {
  Machine machine;
  Life life(&machine);
  life.Want({Run(kWeb)});
  machine.driver.Exit(kWeb, 1);
  life.agent.EventsWatched();
  life.Settle();
  CHECK(life.PhaseOf() == scheduler::v1::PHASE_FAILED);
}

}  // namespace
}  // namespace berth::agent
