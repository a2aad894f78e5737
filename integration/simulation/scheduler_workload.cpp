#include "integration/simulation/scheduler_workload.h"

#include "absl/strings/str_cat.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "common/check/check.h"
#include "common/status/status_macros.h"
#include "integration/simulation/config_workload.h"
#include "integration/simulation/identities.h"

namespace berth::simulation {

namespace {

Asked AskToLabel(Random* random) {
  scheduler::v1::LabelHostRequest request;
  request.set_org(kOrg);
  request.set_host(HostName(random->Below(kHosts)));
  (*request.mutable_labels())["zone"] = random->Chance(700) ? "a" : "b";
  return Command(request);
}

}  // namespace

Asked AskToRestart(Random* random) {
  scheduler::v1::RestartRequest request;
  *request.mutable_environment() = AnyEnvironment(random);
  if (random->Chance(300)) request.add_process_types("web");
  return Command(request);
}

Asked AskHosts() {
  scheduler::v1::ListHostsRequest request;
  request.set_org(kOrg);
  return Question(request);
}

std::optional<Asked> AskScheduler(Random* random) {
  const uint64_t choice = random->Below(100);
  if (choice < 30) return AskToRestart(random);
  if (choice < 50) return AskToLabel(random);
  if (choice < 80) {
    scheduler::v1::GetEnvironmentStatusRequest request;
    *request.mutable_environment() = AnyEnvironment(random);
    return Question(request);
  }
  return AskHosts();
}

absl::StatusOr<std::string> AnswerOfScheduler(const scheduler::State& state,
                                              const Operation& question) {
  if (question.method == rpc::MethodFor(*scheduler::v1::ListHostsRequest::descriptor()).full_name) {
    return state.HostsOf(kOrg).SerializeAsString();
  }
  scheduler::v1::GetEnvironmentStatusRequest request;
  BERTH_CHECK(request.ParseFromString(question.request));
  BERTH_ASSIGN_OR_RETURN(const scheduler::v1::GetEnvironmentStatusResponse status,
                         state.StatusOf(request.environment()));
  return status.SerializeAsString();
}

}  // namespace berth::simulation
