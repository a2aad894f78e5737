#include "integration/simulation/config_workload.h"

#include "absl/strings/str_cat.h"
#include "berth/config/v1/config.pb.h"
#include "common/check/check.h"
#include "common/status/status_macros.h"
#include "integration/simulation/identities.h"
#include "integration/simulation/secrets_workload.h"

namespace berth::simulation {
namespace {

using config::v1::DeployRequest;

constexpr uint64_t kApps = 3;
constexpr uint64_t kEnvironments = 2;
constexpr uint64_t kHostnames = 8;
// Large enough that a watcher that stands still falls off its ring now and then.
constexpr uint64_t kLargeValueBytes = 60'000;

std::string App(Random* random) { return absl::StrCat("app-", random->Below(kApps)); }
std::string Environment(Random* random) {
  return absl::StrCat("env-", random->Below(kEnvironments));
}

// Some ask for one host, for hosts with a label, or for a secret.
std::string Worker(Random* random) {
  const uint64_t choice = random->Below(10);
  if (choice == 0) {
    return absl::StrCat("  worker: {placement: {host: ", HostName(random->Below(kHosts)), "}}\n");
  }
  if (choice == 1) return "  worker: {placement: {require: {zone: a}}}\n";
  if (choice < 5) {
    return absl::StrCat("  worker: {secrets: [", SecretName(random->Below(kSecrets)), "]}\n");
  }
  return "  worker: {}\n";
}

// Some that another environment may have.
std::string Routes(Random* random) {
  if (random->Chance(400)) return "";
  return absl::StrCat("routes:\n  public: {listen: tls/443, host: ", AnyHostname(random),
                      ", to: web.http}\n");
}

}  // namespace

Asked AskToDeploy(Random* random) {
  DeployRequest request;
  request.set_org(kOrg);
  request.set_env(Environment(random));
  const size_t value_bytes = random->Chance(50) ? kLargeValueBytes : random->Below(100);
  request.set_manifest_yaml(absl::StrCat(
      "schema: berth/v1\napp: ", App(random),
      "\nimage: registry.example/app\nprocesses:\n  web:\n    ports: {http: 8080}\n    resources: "
      "{cpu: 100m, memory: ",
      16 + 16 * random->Below(4), "MiB}\n    env: {VALUE: \"", std::string(value_bytes, 'x'),
      "\"}\n", random->Chance(30) ? "    wrong: 1\n" : Worker(random), Routes(random)));
  request.set_manifest_file("berth.yaml");
  // Without a digest it is refused.
  request.set_image(random->Chance(30)
                        ? "registry.example/app"
                        : absl::StrCat("registry.example/app@sha256:",
                                       std::string(64, static_cast<char>('0' + random->Below(4)))));
  return Command(request);
}

namespace {

Asked Scale(Random* random) {
  config::v1::ScaleRequest request;
  *request.mutable_environment() = AnyEnvironment(random);
  (*request.mutable_replicas())["web"] = static_cast<uint32_t>(random->Below(4));
  (*request.mutable_replicas())["worker"] = static_cast<uint32_t>(random->Below(4));
  return Command(request);
}

Asked Rollback(Random* random) {
  config::v1::RollbackRequest request;
  *request.mutable_environment() = AnyEnvironment(random);
  if (random->Chance(500)) request.set_release(random->Below(6));
  return Command(request);
}

Asked Delete(Random* random) {
  config::v1::DeleteEnvironmentRequest request;
  *request.mutable_environment() = AnyEnvironment(random);
  return Command(request);
}

Asked AskEnvironment(Random* random) {
  config::v1::GetEnvironmentRequest request;
  *request.mutable_environment() = AnyEnvironment(random);
  return Question(request);
}

Asked AskReleases(Random* random) {
  config::v1::ListReleasesRequest request;
  *request.mutable_environment() = AnyEnvironment(random);
  return Question(request);
}

template <typename Request>
Request RequestOf(const Operation& question) {
  Request request;
  BERTH_CHECK(request.ParseFromString(question.request));
  return request;
}

}  // namespace

Asked AskEnvironments() {
  config::v1::ListEnvironmentsRequest request;
  request.set_org(kOrg);
  return Question(request);
}

std::string AnyHostname(Random* random) {
  return absl::StrCat("www-", random->Below(kHostnames), ".example.com");
}

types::v1::EnvironmentName AnyEnvironment(Random* random) {
  types::v1::EnvironmentName name;
  name.set_org(kOrg);
  name.set_app(App(random));
  name.set_env(Environment(random));
  return name;
}

std::optional<Asked> AskConfigQuestions(Random* random) {
  const uint64_t choice = random->Below(3);
  if (choice == 0) return AskEnvironment(random);
  if (choice == 1) return AskReleases(random);
  return AskEnvironments();
}

std::optional<Asked> AskConfig(Random* random) {
  const uint64_t choice = random->Below(100);
  if (choice < 40) return AskToDeploy(random);
  if (choice < 55) return Scale(random);
  if (choice < 65) return Rollback(random);
  if (choice < 69) return Delete(random);
  return AskConfigQuestions(random);
}

std::optional<Asked> ReportRollouts(Random* random) {
  config::v1::ReportRolloutRequest request;
  *request.mutable_environment() = AnyEnvironment(random);
  request.set_promotion(random->Below(20));
  if (random->Chance(300)) request.set_failure("it did not become ready");
  return Command(request);
}

absl::StatusOr<std::string> AnswerOfConfig(const config::State& state, const Operation& question) {
  const rpc::Method& get = rpc::MethodFor(*config::v1::GetEnvironmentRequest::descriptor());
  const rpc::Method& releases = rpc::MethodFor(*config::v1::ListReleasesRequest::descriptor());
  if (question.method == get.full_name) {
    config::v1::GetEnvironmentResponse response;
    BERTH_ASSIGN_OR_RETURN(
        *response.mutable_environment(),
        state.FindEnvironment(
            RequestOf<config::v1::GetEnvironmentRequest>(question).environment()));
    return response.SerializeAsString();
  }
  if (question.method == releases.full_name) {
    BERTH_ASSIGN_OR_RETURN(
        const std::vector<config::v1::Release> found,
        state.ReleasesOf(RequestOf<config::v1::ListReleasesRequest>(question).environment()));
    config::v1::ListReleasesResponse response;
    for (const config::v1::Release& release : found) *response.add_releases() = release;
    return response.SerializeAsString();
  }
  config::v1::ListEnvironmentsResponse response;
  const auto request = RequestOf<config::v1::ListEnvironmentsRequest>(question);
  for (const config::v1::Environment& environment : state.EnvironmentsOf(request.org())) {
    *response.add_environments() = environment;
  }
  return response.SerializeAsString();
}

}  // namespace berth::simulation
