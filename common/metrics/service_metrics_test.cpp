#include "common/metrics/service_metrics.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/clock/manual_clock.h"
#include "common/eventlog/memory_event_log.h"
#include "common/executor/manual_executor.h"
#include "common/ids/sequential_id_source.h"
#include "common/rpc/fake_services.h"
#include "common/testing/printers.h"

namespace berth {
namespace {

// A state that events leave alone.
class Nothing : public StateMachine {
 public:
  void Reset() override {}
  absl::Status Apply(const eventlog::v1::StoredEvent&) override { return absl::OkStatus(); }
  std::vector<TopicChange> TakeChanges() override { return std::exchange(changes, {}); }
  void NoteChanges(bool) override {}
  TopicEntries Entries(const std::string&) const override { return {}; }
  std::string Save() const override { return ""; }
  absl::Status LoadSaved(const std::string&) override { return absl::OkStatus(); }
  std::string SavedFormat() const override { return ""; }
  uint32_t StateVersion() const override { return 1; }
  absl::Status CheckRows(const RowsByKey&) const override { return absl::OkStatus(); }
  std::unique_ptr<LoggedState> NewState() const override { return std::make_unique<Nothing>(); }
  std::vector<eventlog::v1::StoredEvent> ClockWasSet(absl::Duration) const override { return {}; }
  void Loaded(uint64_t) override {}
  void SteppedDown(const absl::Status&) override {}
  void Published(const eventlog::v1::Record&) override {}

  std::vector<TopicChange> changes;
};

class OneStream : public rpc::Stream {
 public:
  void Begin(std::shared_ptr<rpc::Conversation>) override {}
  void Wake() override {}
  void End(absl::Status status) override {
    if (ended != nullptr) std::exchange(ended, nullptr)(status);
  }
  void WhenEnded(std::function<void(const absl::Status&)> told) override {
    ended = std::move(told);
  }

  std::function<void(const absl::Status&)> ended;
};

// A service that is measured, with a viewer who may call it.
struct Measured {
  explicit Measured(LogWriter::Limits limits = LogWriter::Limits())
      : writer("config", limits, &log, &machine, &executor, &clock, &ids),
        service_metrics(&metrics, "config", &config.dispatcher(), &writer) {
    access.Set("principal/user/viewer", rpc::PersonWith("user/viewer", auth::v1::ROLE_VIEWER));
    rpc::SetToken(&access, std::string(32, 'v'), "user/viewer", clock.Now() + absl::Hours(1));
    access.Advance(1);
  }

  rpc::IncomingCall CallOf(const google::protobuf::Message& request, bool viewer) const {
    rpc::IncomingCall call;
    call.method = &rpc::MethodFor(*request.GetDescriptor());
    if (viewer) call.credentials.token = rpc::FormatToken(1, std::string(32, 'v'));
    return call;
  }

  void Call(const google::protobuf::Message& request, bool viewer) {
    config.dispatcher().Unary(CallOf(request, viewer), request.SerializeAsString(),
                              [](absl::StatusOr<std::string>) {});
    executor.RunUntilIdle();
  }

  void Record(const std::string& topic) {
    writer.EnqueueCommand(
        CommandOrigin(), Recorded::kAlways,
        [this, topic](const DecisionContext&) -> absl::StatusOr<LogWriter::Outcome> {
          machine.changes.push_back({topic, "key", "value"});
          return LogWriter::Outcome();
        },
        [](absl::StatusOr<std::string>) {});
  }

  bool Has(const std::string& line) {
    const std::string page = metrics.Text();
    const std::vector<absl::string_view> lines = absl::StrSplit(page, '\n');
    return std::find(lines.begin(), lines.end(), line) != lines.end();
  }

  Metrics metrics{"server"};
  ManualClock clock;
  ManualExecutor executor{&clock};
  SequentialIdSource ids;
  rpc::AccessView access;
  rpc::FakeConfig config{&access, &executor, &clock};
  std::shared_ptr<MemoryDatabase> database = std::make_shared<MemoryDatabase>(&clock);
  MemoryEventLog log{database, "config"};
  Nothing machine;
  LogWriter writer;
  ServiceMetrics service_metrics;
};

constexpr char kList[] =
    "{grpc_method=\"ListEnvironments\",grpc_service=\"berth.config.v1.ConfigService\","
    "grpc_type=\"unary\"}";

std::string WithCode(const std::string& code) {
  return absl::StrCat("grpc_server_handled_total{grpc_code=\"", code, "\",",
                      std::string(kList).substr(1));
}

TEST_CASE("calls are counted by method and code", "[metrics][service_metrics]") {
  Measured measured;
  // Known before anybody called, so that a rate has a beginning.
  CHECK(measured.Has(absl::StrCat("grpc_server_started_total", kList, " 0")));
  CHECK(measured.Has(WithCode("OK") + " 0"));
  config::v1::ListEnvironmentsRequest request;
  request.set_org("acme");
  measured.Call(request, true);
  measured.Call(request, false);
  request.set_org("other");
  measured.Call(request, true);
  CHECK(measured.Has(absl::StrCat("grpc_server_started_total", kList, " 3")));
  CHECK(measured.Has(WithCode("OK") + " 1"));
  CHECK(measured.Has(WithCode("Unauthenticated") + " 1"));
  CHECK(measured.Has(WithCode("PermissionDenied") + " 1"));
  CHECK(measured.Has(absl::StrCat("grpc_server_handling_seconds_count", kList, " 3")));
  // Of the three, one left no record.
  CHECK(measured.config.refusals.size() == 1);
  CHECK(
      measured.Has("berth_rpc_refused_unrecorded_total"
                   "{grpc_service=\"berth.config.v1.ConfigService\"} 1"));
}

TEST_CASE("streams are counted while they are open and when they end",
          "[metrics][service_metrics]") {
  constexpr char kWatch[] =
      "grpc_method=\"WatchEnvironments\",grpc_service=\"berth.config.v1.ConfigService\","
      "grpc_type=\"server_stream\"}";
  Measured measured;
  SetMachine(&measured.access, std::string(32, 's'), auth::v1::MACHINE_KIND_SERVICE, "scheduler");
  measured.config.watch_environments = [](const auto&, const std::shared_ptr<rpc::Stream>&) {};
  CHECK(measured.Has(absl::StrCat("berth_rpc_streams_open{", kWatch, " 0")));
  const config::v1::WatchEnvironmentsRequest request;
  rpc::IncomingCall call = measured.CallOf(request, false);
  call.credentials.identity_key = std::string(32, 's');
  auto stream = std::make_shared<OneStream>();
  measured.config.dispatcher().Open(call, "", stream);
  measured.executor.RunUntilIdle();
  CHECK(measured.Has(absl::StrCat("berth_rpc_streams_open{", kWatch, " 1")));
  stream->End(absl::CancelledError("gone"));
  stream.reset();
  CHECK(measured.Has(absl::StrCat("berth_rpc_streams_open{", kWatch, " 0")));
  CHECK(measured.Has(
      absl::StrCat("grpc_server_handled_total{grpc_code=\"Canceled\",", kWatch, " 1")));
}

TEST_CASE("series are as many as methods and codes, whoever calls for what",
          "[metrics][service_metrics]") {
  Measured measured;
  config::v1::ListEnvironmentsRequest request;
  request.set_org("acme");
  measured.Call(request, true);
  request.set_org("other");
  measured.Call(request, true);
  auto series = [&measured] {
    const std::string page = measured.metrics.Text();
    return std::count(page.begin(), page.end(), '\n');
  };
  const auto before = series();
  for (int i = 0; i < 100; ++i) {
    request.set_org(absl::StrCat("org-", i));
    measured.Call(request, true);
  }
  CHECK(series() == before);
  CHECK_FALSE(absl::StrContains(measured.metrics.Text(), "org-"));
  CHECK_FALSE(absl::StrContains(measured.metrics.Text(), "viewer"));
}

TEST_CASE("the log says what it wrote, where it stands and what waits",
          "[metrics][service_metrics]") {
  LogWriter::Limits limits;
  limits.queue_max = 3;
  Measured measured(limits);
  CHECK(measured.Has("berth_log_serving{service=\"config\"} 0"));
  CHECK(measured.metrics.Ready().message() == "config does not serve its log");
  measured.writer.Start({"test"}, [](absl::Status) {});
  measured.executor.RunUntilIdle();
  CHECK(measured.Has("berth_log_serving{service=\"config\"} 1"));
  CHECK(measured.metrics.Ready().ok());
  // What a new leader writes.
  CHECK(measured.Has("berth_log_position{service=\"config\"} 1"));

  for (int i = 0; i < 4; ++i) measured.Record("host/a");
  CHECK(measured.Has("berth_log_queue_depth{service=\"config\"} 3"));
  CHECK(measured.Has("berth_log_queue_refused_total{service=\"config\"} 1"));
  measured.executor.RunUntilIdle();
  CHECK(measured.Has("berth_log_queue_depth{service=\"config\"} 0"));
  CHECK(measured.Has("berth_log_position{service=\"config\"} 4"));
  CHECK(measured.Has("berth_log_cut_position{service=\"config\"} 0"));
  CHECK(measured.Has("berth_log_append_seconds_count{service=\"config\"} 1"));
  CHECK(measured.Has("berth_log_batch_records_sum{service=\"config\"} 3"));
  CHECK(measured.Has("berth_log_append_failures_total{service=\"config\"} 0"));

  measured.database->FailNextAppend(MemoryDatabase::AppendFailure::kLostBeforeStored);
  measured.Record("host/a");
  measured.executor.RunUntilIdle();
  CHECK(measured.Has("berth_log_append_failures_total{service=\"config\"} 1"));
  CHECK(measured.Has("berth_log_position{service=\"config\"} 4"));
}

TEST_CASE("watches are counted by the kind of their topic", "[metrics][service_metrics]") {
  Measured measured;
  measured.writer.Start({"test"}, [](absl::Status) {});
  measured.executor.RunUntilIdle();
  auto one = std::make_shared<Watcher>("host/a", [] {});
  auto two = std::make_shared<Watcher>("host/b", [] {});
  measured.writer.EnqueueWatch(one, std::nullopt, [](absl::Status) {});
  measured.writer.EnqueueWatch(two, std::nullopt, [](absl::Status) {});
  measured.executor.RunUntilIdle();
  measured.Record("host/a");
  measured.Record("host/c");
  measured.executor.RunUntilIdle();
  const std::string labels = "{service=\"config\",topic=\"host\"} ";
  CHECK(measured.Has("berth_watch_watchers" + labels + "2"));
  CHECK(measured.Has("berth_watch_snapshots_total" + labels + "2"));
  CHECK(measured.Has("berth_watch_deltas_total" + labels + "2"));
  CHECK(measured.Has("berth_watch_resyncs_total" + labels + "0"));
  two.reset();
  CHECK(measured.Has("berth_watch_watchers" + labels + "1"));
  CHECK_FALSE(absl::StrContains(measured.metrics.Text(), "host/"));
}

}  // namespace
}  // namespace berth
