#include "cli/explanation.h"

#include <catch2/catch.hpp>

namespace berth::cli {
namespace {

using Catch::Contains;
using Catch::EndsWith;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

void Add(const std::string& id, bool holds, scheduler::v1::WhyResponse* why) {
  scheduler::v1::Predicate* predicate = why->add_predicates();
  predicate->set_id(id);
  predicate->set_holds(holds);
  predicate->mutable_object()->set_kind("host");
  predicate->mutable_object()->set_name("alpha");
  predicate->set_sentence(id + " is so");
  why->set_converged(holds);
}

TEST_CASE("an explanation ends with what does not hold and what to do", "[cli][explanation]") {
  scheduler::v1::WhyResponse why;
  Add("release-promoted", true, &why);
  Add("agent-reports", false, &why);
  scheduler::v1::Predicate* wrong = why.mutable_predicates(1);
  wrong->set_next("start it\x1b[2J");
  wrong->mutable_record()->set_stream("scheduler");
  wrong->mutable_record()->set_position(12);
  wrong->mutable_record()->set_actor("host/alpha");
  wrong->mutable_record()->mutable_time()->set_seconds(absl::ToUnixSeconds(kNow) - 30);
  const std::string text = ExplanationText(why, kNow);
  CHECK_THAT(text, Contains("\u2713  release-promoted  host alpha  release-promoted is so\n"));
  CHECK_THAT(text, Contains("\u2717  agent-reports     host alpha  agent-reports is so\n"));
  CHECK_THAT(text, EndsWith("\nagent-reports is so\n  by    host/alpha, 30s ago (scheduler/12)\n"
                            "  next  start it?[2J\n"));
}

TEST_CASE("an explanation says where there is nothing to do, and nothing to explain",
          "[cli][explanation]") {
  scheduler::v1::WhyResponse why;
  Add("rollout-done", false, &why);
  CHECK_THAT(ExplanationText(why, kNow), EndsWith("  next  wait: nothing has to be done\n"));
  why.Clear();
  Add("rollout-done", true, &why);
  CHECK_THAT(ExplanationText(why, kNow), EndsWith("All is as it should be.\n"));
}

TEST_CASE("an explanation's exit code tells apart what still serves", "[cli][explanation]") {
  scheduler::v1::WhyResponse why;
  Add("rollout-done", true, &why);
  CHECK(ExitCodeFor(why) == ExitCode::kSuccess);
  why.set_converged(false);
  CHECK(ExitCodeFor(why) == ExitCode::kDown);
  why.set_ready(1);
  CHECK(ExitCodeFor(why) == ExitCode::kDegraded);
}

}  // namespace
}  // namespace berth::cli
