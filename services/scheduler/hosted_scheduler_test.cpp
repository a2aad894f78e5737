#include "services/scheduler/hosted_scheduler.h"

#include <catch2/catch.hpp>
#include <string>

#include "common/testing/printers.h"

namespace berth::scheduler {
namespace {

TEST_CASE("hosts are stale and lost when the settings say so", "[scheduler]") {
  LivenessPolicy liveness;
  SettingsReader reader("liveness: {stale_after: 20s, lost_after: 2m}\n", "scheduler.yaml");
  ReadLivenessSettings(&reader, &liveness);
  CHECK(reader.Finish() == absl::OkStatus());
  CHECK(liveness.stale_after == absl::Seconds(20));
  CHECK(liveness.lost_after == absl::Minutes(2));
}

TEST_CASE("a host is not lost before it is stale, nor by one late report", "[scheduler]") {
  const auto [text, refused] =
      GENERATE(table<const char*, const char*>({{"liveness: {stale_after: 2m}\n", "lost_after"},
                                                {"liveness: {stale_after: 1s}\n", "stale_after"}}));
  LivenessPolicy liveness;
  SettingsReader reader(text, "scheduler.yaml");
  ReadLivenessSettings(&reader, &liveness);
  CHECK_THAT(std::string(reader.Finish().message()), Catch::Contains(refused));
}

}  // namespace
}  // namespace berth::scheduler
