#include "common/metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/files/atomic_file.h"
#include "common/metrics/metrics_server.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"

namespace berth {
namespace {

// The value of the series as the page writes it; nullopt: it is not there.
std::optional<double> ValueOf(const std::string& page, const std::string& series) {
  for (absl::string_view line : absl::StrSplit(page, '\n')) {
    double value = 0;
    if (absl::ConsumePrefix(&line, series + " ") && absl::SimpleAtod(line, &value)) return value;
  }
  return std::nullopt;
}

int CountLines(const std::string& page, const std::string& prefix) {
  int count = 0;
  for (const absl::string_view line : absl::StrSplit(page, '\n')) {
    if (absl::StartsWith(line, prefix)) ++count;
  }
  return count;
}

TEST_CASE("a page has each family once, whoever adds to it", "[metrics]") {
  Metrics metrics("server");
  const auto first = metrics.AddSource([](MetricsPage* page) {
    page->Gauge("berth_things", "Things.", {{"kind", "a"}}, 1);
    page->Counter("berth_deeds_total", "Deeds.", {}, 7);
  });
  const auto second = metrics.AddSource(
      [](MetricsPage* page) { page->Gauge("berth_things", "Things.", {{"kind", "b"}}, 2.5); });
  prometheus::BuildCounter()
      .Name("berth_counted_total")
      .Help("Counted.")
      .Register(metrics.registry())
      .Add({{"what", "x\"y"}})
      .Increment(3);
  const std::string page = metrics.Text();
  CHECK(CountLines(page, "# HELP berth_things ") == 1);
  CHECK(CountLines(page, "# TYPE berth_things gauge") == 1);
  CHECK(ValueOf(page, "berth_things{kind=\"a\"}") == 1);
  CHECK(ValueOf(page, "berth_things{kind=\"b\"}") == 2.5);
  CHECK(CountLines(page, "# TYPE berth_deeds_total counter") == 1);
  CHECK(ValueOf(page, "berth_deeds_total") == 7);
  CHECK(ValueOf(page, "berth_counted_total{what=\"x\\\"y\"}") == 3);
  CHECK(ValueOf(page, "berth_build_info{process=\"server\",version=\"" BERTH_VERSION "\"}") == 1);
}

TEST_CASE("a page tells of its process", "[metrics]") {
  Metrics metrics("edge");
  const std::string page = metrics.Text();
  CHECK(ValueOf(page, "process_cpu_seconds_total").has_value());
  CHECK(*ValueOf(page, "process_resident_memory_bytes") > 1 << 20);
  CHECK(*ValueOf(page, "process_virtual_memory_bytes") >
        *ValueOf(page, "process_resident_memory_bytes"));
  CHECK(*ValueOf(page, "process_threads") >= 1);
  CHECK(*ValueOf(page, "process_max_fds") > 0);
  // After this test was written, and before it ends.
  CHECK(*ValueOf(page, "process_start_time_seconds") > 1.7e9);
  const double before = *ValueOf(page, "process_open_fds");
  const int another = dup(STDIN_FILENO);
  CHECK(*ValueOf(metrics.Text(), "process_open_fds") == before + 1);
  close(another);
}

TEST_CASE("a family that grows without bound is cut, and the page says so", "[metrics]") {
  constexpr size_t kTooMany = 7;
  Metrics metrics("server");
  const auto source = metrics.AddSource([](MetricsPage* page) {
    for (size_t i = 0; i < Metrics::kSeriesPerFamilyMax + kTooMany; ++i) {
      page->Gauge("berth_things", "Things.", {{"id", absl::StrCat(i)}}, 1);
    }
  });
  const std::string page = metrics.Text();
  CHECK(CountLines(page, "berth_things{") == Metrics::kSeriesPerFamilyMax);
  CHECK(ValueOf(page, "berth_metrics_series_cut") == kTooMany);
  CHECK(metrics.Text().size() == Approx(page.size()).margin(200));
}

TEST_CASE("what is registered is asked until its registration goes", "[metrics]") {
  Metrics metrics("server");
  int asked = 0;
  {
    Metrics::Registration kept;
    {
      Metrics::Registration source = metrics.AddSource([&](MetricsPage*) { ++asked; });
      kept = std::move(source);
    }
    metrics.Text();
    CHECK(asked == 1);
  }
  metrics.Text();
  CHECK(asked == 1);
}

TEST_CASE("a process is ready once every part of it is", "[metrics]") {
  Metrics metrics("server");
  CHECK(metrics.Ready().message() == "the process is starting");
  absl::Status first = absl::UnavailableError("the first waits");
  const auto one = metrics.AddReadyCheck([&] { return first; });
  {
    const auto two = metrics.AddReadyCheck([] { return absl::InternalError("the second broke"); });
    CHECK(metrics.Ready() == absl::UnavailableError("the first waits\nthe second broke"));
  }
  CHECK(ValueOf(metrics.Text(), "berth_ready") == 0);
  first = absl::OkStatus();
  CHECK(metrics.Ready().ok());
  CHECK(ValueOf(metrics.Text(), "berth_ready") == 1);
}

TEST_CASE("the port that HTTP got is in the state folder, and goes with the setting",
          "[metrics][http]") {
  const testing::TempDir folder;
  const std::string file = MetricsServer::AddressFile(folder.path());
  Metrics metrics("agent");
  std::string address;
  {
    const auto server = MetricsServer::Start("127.0.0.1:0", folder.path(), &metrics);
    REQUIRE(server.ok());
    const absl::StatusOr<std::string> told = ReadFile(file, 100);
    REQUIRE(told.ok());
    address = *told;
    CHECK(absl::StartsWith(address, "127.0.0.1:"));
    CHECK_FALSE(address == "127.0.0.1:0\n");
    address.pop_back();

    const auto taken = MetricsServer::Start(address, folder.path(), &metrics);
    CHECK(taken.status().code() == absl::StatusCode::kUnavailable);
    CHECK(absl::StrContains(taken.status().message(), "`http`"));
    CHECK(absl::StrContains(taken.status().message(), "`off`"));
  }
  CHECK(MetricsServer::Start("off", folder.path(), &metrics).ok());
  CHECK(ReadFile(file, 100).status().code() == absl::StatusCode::kNotFound);
  const auto elsewhere = MetricsServer::Start("0.0.0.0:0", folder.path(), &metrics);
  CHECK(elsewhere.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(absl::StrContains(elsewhere.status().message(), "a proxy that speaks TLS"));
}

}  // namespace
}  // namespace berth
