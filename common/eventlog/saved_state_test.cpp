#include "common/eventlog/saved_state.h"

#include <catch2/catch.hpp>

#include "berth/config/v1/config.pb.h"
#include "berth/config/v1/snapshot.pb.h"
#include "berth/secrets/v1/snapshot.pb.h"

namespace berth {
namespace {

TEST_CASE("the same content is the same bytes, in whatever order it came",
          "[eventlog][saved_state]") {
  config::v1::Release up;
  config::v1::Release down;
  for (uint32_t i = 0; i < 100; ++i) {
    (*up.mutable_replicas())["process-" + std::to_string(i)] = i;
    (*down.mutable_replicas())["process-" + std::to_string(99 - i)] = 99 - i;
  }
  CHECK(ToDeterministicBytes(up) == ToDeterministicBytes(down));
  (*down.mutable_replicas())["process-0"] = 1;
  CHECK(ToDeterministicBytes(up) != ToDeterministicBytes(down));
}

TEST_CASE("the format tells messages and meanings apart", "[eventlog][saved_state]") {
  const auto& config = *config::v1::StateSnapshot::descriptor();
  const auto& secrets = *secrets::v1::StateSnapshot::descriptor();
  CHECK(SavedStateFormat(config, 1) == SavedStateFormat(config, 1));
  CHECK(SavedStateFormat(config, 1) != SavedStateFormat(config, 2));
  CHECK(SavedStateFormat(config, 1) != SavedStateFormat(secrets, 1));
}

}  // namespace
}  // namespace berth
