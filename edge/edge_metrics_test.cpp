#include "edge/edge_metrics.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/clock/manual_clock.h"
#include "common/testing/printers.h"

namespace berth::edge {
namespace {

TEST_CASE("everything the edge counts is on the page", "[edge][metrics]") {
  CounterSnapshot counts;
  for (size_t i = 0; i < kCountsSize; ++i) counts[static_cast<Count>(i)] = 1000 + i;
  MetricsPage page;
  AddCounts(&page, counts);
  const std::string text = page.Text();
  for (size_t i = 0; i < kCountsSize; ++i) {
    INFO(NameOf(static_cast<Count>(i)));
    CHECK(absl::StrContains(text, absl::StrCat(" ", 1000 + i, "\n")));
  }
  CHECK(absl::StrContains(text, absl::StrCat("berth_edge_connections_total{result=\"no_route\"} ",
                                             counts[Count::kNoRoute], "\n")));
  CHECK(absl::StrContains(text, absl::StrCat("berth_edge_bytes_total{direction=\"to_client\"} ",
                                             counts[Count::kBytesToClients], "\n")));
}

TEST_CASE("an edge is ready once it has a table", "[edge][metrics]") {
  Metrics metrics("edge");
  const ManualClock clock;
  UpstreamRegistry registry;
  DataPlaneOptions options;
  options.loops = 1;
  const auto data_plane = DataPlane::Create(options, &clock, &registry);
  REQUIRE(data_plane.ok());
  bool exists = false;
  const EdgeMetrics edge_metrics(&metrics, data_plane->get(), &registry,
                                 {[&] { return exists; }, [] { return 12; }});
  CHECK(metrics.Ready() == absl::UnavailableError("there is no table of routes"));
  exists = true;
  CHECK(metrics.Ready() == absl::OkStatus());
  const std::string page = metrics.Text();
  CHECK(absl::StrContains(page, "berth_edge_table_position 12\n"));
  CHECK(absl::StrContains(page, "berth_edge_listeners_failing 0\n"));
  CHECK(absl::StrContains(page, "berth_edge_connections_accepted_total 0\n"));
}

}  // namespace
}  // namespace berth::edge
