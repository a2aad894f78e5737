#include "agent/runtime/podman/kernel_memory_kill.h"

#include <catch2/catch.hpp>

namespace berth {
namespace {

TEST_CASE("a memory kill is told by the container's own limit only", "[agent][podman]") {
  const absl::string_view kill =
      "4,900,2427810743,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),mems_allowed=0,"
      "oom_memcg=/libpod_parent/libpod-48c6ef,task_memcg=/libpod_parent/libpod-48c6ef,task=dd,"
      "pid=8066,uid=0";
  CHECK(IsMemoryKillOf(kill, "48c6ef"));
  CHECK_FALSE(IsMemoryKillOf(kill, "99c6ef"));
  CHECK_FALSE(
      IsMemoryKillOf("oom-kill:constraint=CONSTRAINT_NONE,task_memcg=/libpod-48c6ef", "48c6ef"));
}

}  // namespace
}  // namespace berth
