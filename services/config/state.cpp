#include "services/config/state.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/ids/names.h"
#include "common/manifest/manifest.h"
#include "common/status/status_macros.h"
#include "common/time/timestamp.h"

namespace berth::config {
namespace {

using types::v1::EnvironmentName;

constexpr char kDigestMark[] = "@sha256:";
constexpr size_t kDigestHexSize = 64;

// A release without a digest would run something else tomorrow.
absl::Status CheckImage(const std::string& image) {
  const size_t mark = image.find(kDigestMark);
  bool pinned = mark != std::string::npos && mark > 0 &&
                image.size() == mark + sizeof(kDigestMark) - 1 + kDigestHexSize;
  for (size_t i = mark + sizeof(kDigestMark) - 1; pinned && i < image.size(); ++i) {
    pinned = (image[i] >= '0' && image[i] <= '9') || (image[i] >= 'a' && image[i] <= 'f');
  }
  if (pinned) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the image \"", image,
                   "\" is not pinned: it must be NAME@sha256:DIGEST; berth deploy "
                   "resolves a name by itself"));
}

absl::Status CheckReplicas(const std::string& process_type, uint32_t replicas) {
  if (replicas <= State::kReplicasMax) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("process ", process_type, ": ", replicas,
                                                 " replicas are more than the ",
                                                 State::kReplicasMax, " that are allowed"));
}

bool SameRelease(const v1::Release& left, const v1::Release& right) {
  return left.image() == right.image() && left.manifest_digest() == right.manifest_digest() &&
         std::map<std::string, uint32_t>(left.replicas().begin(), left.replicas().end()) ==
             std::map<std::string, uint32_t>(right.replicas().begin(), right.replicas().end());
}

// Adds the release and its promotion to what a decision leads to.
void Promote(const EnvironmentName& name, const v1::Release& release, uint64_t promotion,
             const DecisionContext& context, std::vector<v1::Event>* events) {
  v1::ReleasePromoted* promoted = events->emplace_back().mutable_release_promoted();
  *promoted->mutable_environment() = name;
  promoted->set_release(release.number());
  promoted->set_promotion(promotion);
  types::v1::RecordReference* record = promoted->mutable_record();
  record->set_stream(State::kStream);
  record->set_position(context.position);
  record->set_actor(context.principal);
  *record->mutable_time() = ToTimestamp(context.now);
}

void Create(const EnvironmentName& name, const v1::Release& release,
            std::vector<v1::Event>* events) {
  v1::ReleaseCreated* created = events->emplace_back().mutable_release_created();
  *created->mutable_environment() = name;
  *created->mutable_release() = release;
}

}  // namespace

Decided<v1::Event, v1::DeployResponse> State::Decide(const v1::DeployRequest& request,
                                                     const v1::Manifest& manifest,
                                                     const DecisionContext& context) const {
  EnvironmentName name;
  name.set_org(request.org());
  name.set_app(manifest.app());
  name.set_env(request.env().empty() ? kDefaultEnvironment : request.env());
  BERTH_RETURN_IF_ERROR(CheckName("org", name.org()));
  BERTH_RETURN_IF_ERROR(CheckName("app", name.app()));
  BERTH_RETURN_IF_ERROR(CheckName("environment", name.env()));
  BERTH_RETURN_IF_ERROR(CheckImage(request.image()));
  if (!manifest.org().empty() && manifest.org() != name.org()) {
    return absl::InvalidArgumentError(absl::StrCat("the manifest is for org ", manifest.org(),
                                                   ", the deploy for org ", name.org()));
  }

  const auto found = environments_.find(ToString(name));
  const Environment* environment = found == environments_.end() ? nullptr : &found->second;
  const v1::Release* desired = nullptr;
  if (environment != nullptr && environment->desired != 0) {
    desired = &environment->releases.at(environment->desired);
  }

  v1::Release release;
  release.set_image(request.image());
  release.set_image_is_local(request.image_is_local());
  *release.mutable_manifest() = manifest;
  release.set_manifest_digest(ManifestDigest(manifest));
  release.set_origin("deploy");
  for (const auto& [type, process] : manifest.processes()) {
    // A manifest without a count keeps the last one: `berth scale` is not undone by a deploy.
    uint32_t replicas = kReplicasDefault;
    if (process.has_replicas()) {
      replicas = process.replicas();
    } else if (desired != nullptr && desired->replicas().contains(type)) {
      replicas = desired->replicas().at(type);
    }
    BERTH_RETURN_IF_ERROR(CheckReplicas(type, replicas));
    (*release.mutable_replicas())[type] = replicas;
  }

  Decision<Event, v1::DeployResponse> decision;
  v1::DeployResponse& response = decision.response;
  *response.mutable_environment() = name;
  if (desired != nullptr && environment->rollout != v1::ROLLOUT_STATE_FAILED &&
      SameRelease(*desired, release)) {
    response.set_release(desired->number());
    response.set_promotion(environment->promotion);
    response.set_unchanged(true);
    return decision;
  }
  if (environment == nullptr) {
    *decision.events.emplace_back().mutable_environment_created()->mutable_environment() = name;
  }
  release.set_number(environment == nullptr || environment->releases.empty()
                         ? 1
                         : environment->releases.rbegin()->first + 1);
  *release.mutable_create_time() = ToTimestamp(context.now);
  release.set_created_by(context.principal);
  response.set_release(release.number());
  response.set_promotion(environment == nullptr ? 1 : environment->promotion + 1);
  Create(name, release, &decision.events);
  Promote(name, release, response.promotion(), context, &decision.events);
  return decision;
}

Decided<v1::Event, v1::RollbackResponse> State::Decide(const v1::RollbackRequest& request,
                                                       const DecisionContext& context) const {
  uint64_t number = request.release();
  // What was deleted has its releases still: one that is named can be gone back to.
  const auto kept = environments_.find(ToString(request.environment()));
  const Environment* environment =
      number != 0 && kept != environments_.end() ? &kept->second : nullptr;
  if (environment == nullptr) {
    BERTH_ASSIGN_OR_RETURN(environment, Find(request.environment()));
  }
  if (number == 0) {
    // While a rollout runs, what to go back to is what was current before it.
    number =
        environment->desired == environment->current ? environment->previous : environment->current;
    if (number == 0) {
      return absl::NotFoundError(absl::StrCat(ToString(environment->name),
                                              " has no earlier release to go back to; see: berth "
                                              "release list"));
    }
  }
  const auto release = environment->releases.find(number);
  if (release == environment->releases.end()) {
    return absl::NotFoundError(absl::StrCat(ToString(environment->name), " has no release ", number,
                                            "; see: berth release list"));
  }
  Decision<Event, v1::RollbackResponse> decision;
  decision.response.set_release(number);
  decision.response.set_promotion(environment->promotion);
  if (environment->desired == number) return decision;
  decision.response.set_promotion(environment->promotion + 1);
  Promote(environment->name, release->second, decision.response.promotion(), context,
          &decision.events);
  return decision;
}

Decided<v1::Event, v1::ScaleResponse> State::Decide(const v1::ScaleRequest& request,
                                                    const DecisionContext& context) const {
  BERTH_ASSIGN_OR_RETURN(const Environment* environment, Find(request.environment()));
  if (environment->desired == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(ToString(environment->name), " has no release to scale; deploy it first"));
  }
  if (request.replicas().empty()) {
    return absl::InvalidArgumentError("a change of scale names at least one process type");
  }
  const v1::Release& desired = environment->releases.at(environment->desired);
  v1::Release release = desired;
  for (const auto& [type, replicas] : request.replicas()) {
    if (!release.manifest().processes().contains(type)) {
      std::string known;
      for (const auto& [name, process] : std::map<std::string, v1::Process>(
               release.manifest().processes().begin(), release.manifest().processes().end())) {
        absl::StrAppend(&known, known.empty() ? "" : ", ", name);
      }
      return absl::NotFoundError(absl::StrCat(ToString(environment->name), " has no process type ",
                                              type, ", only ", known));
    }
    BERTH_RETURN_IF_ERROR(CheckReplicas(type, replicas));
    (*release.mutable_replicas())[type] = replicas;
  }
  Decision<Event, v1::ScaleResponse> decision;
  if (SameRelease(desired, release)) {
    decision.response.set_release(desired.number());
    decision.response.set_promotion(environment->promotion);
    decision.response.set_unchanged(true);
    return decision;
  }
  release.set_number(environment->releases.rbegin()->first + 1);
  *release.mutable_create_time() = ToTimestamp(context.now);
  release.set_created_by(context.principal);
  release.set_origin(absl::StrCat("scale of release ", desired.number()));
  decision.response.set_release(release.number());
  decision.response.set_promotion(environment->promotion + 1);
  Create(environment->name, release, &decision.events);
  Promote(environment->name, release, decision.response.promotion(), context, &decision.events);
  return decision;
}

Decided<v1::Event, v1::DeleteEnvironmentResponse> State::Decide(
    const v1::DeleteEnvironmentRequest& request, const DecisionContext&) const {
  BERTH_ASSIGN_OR_RETURN(const Environment* environment, Find(request.environment()));
  Decision<Event, v1::DeleteEnvironmentResponse> decision;
  if (environment->deleted && environment->rollout == v1::ROLLOUT_STATE_RUNNING) {
    decision.response.set_promotion(environment->promotion);
    decision.response.set_unchanged(true);
    return decision;
  }
  decision.response.set_promotion(environment->promotion + 1);
  v1::EnvironmentDeleted* deleted = decision.events.emplace_back().mutable_environment_deleted();
  *deleted->mutable_environment() = environment->name;
  deleted->set_promotion(decision.response.promotion());
  return decision;
}

Decided<v1::Event, v1::ReportRolloutResponse> State::Decide(const v1::ReportRolloutRequest& request,
                                                            const DecisionContext&) const {
  Decision<Event, v1::ReportRolloutResponse> decision;
  // Said again of one that is gone since.
  const auto known = environments_.find(ToString(request.environment()));
  if (known != environments_.end() && known->second.IsGone()) return decision;
  BERTH_ASSIGN_OR_RETURN(const Environment* environment, Find(request.environment()));
  if (request.promotion() != environment->promotion ||
      environment->rollout != v1::ROLLOUT_STATE_RUNNING) {
    return decision;  // About a rollout that a newer one has overtaken, or told before.
  }
  if (request.failure().empty()) {
    v1::RolloutSucceeded* succeeded = decision.events.emplace_back().mutable_rollout_succeeded();
    *succeeded->mutable_environment() = environment->name;
    succeeded->set_promotion(request.promotion());
  } else {
    v1::RolloutFailed* failed = decision.events.emplace_back().mutable_rollout_failed();
    *failed->mutable_environment() = environment->name;
    failed->set_promotion(request.promotion());
    failed->set_reason(request.failure());
    failed->set_return_to_release(environment->current);
    failed->set_return_promotion(environment->promotion + 1);
  }
  return decision;
}

void State::Apply(const Event& event) {
  switch (event.event_case()) {
    case Event::kEnvironmentCreated: {
      const EnvironmentName& name = event.environment_created().environment();
      environments_[ToString(name)].name = name;
      return;
    }
    case Event::kReleaseCreated: {
      const v1::ReleaseCreated& created = event.release_created();
      environments_[ToString(created.environment())].releases[created.release().number()] =
          created.release();
      return;
    }
    case Event::kReleasePromoted: {
      const v1::ReleasePromoted& promoted = event.release_promoted();
      Environment& environment = environments_[ToString(promoted.environment())];
      environment.desired = promoted.release();
      environment.promotion = promoted.promotion();
      environment.rollout = v1::ROLLOUT_STATE_RUNNING;
      environment.rollout_reason.clear();
      environment.deleted = false;
      environment.promoted = promoted.record();
      return;
    }
    case Event::kRolloutSucceeded: {
      Environment& environment = environments_[ToString(event.rollout_succeeded().environment())];
      environment.rollout = v1::ROLLOUT_STATE_SUCCEEDED;
      if (environment.current != environment.desired) {
        environment.previous = environment.current;
        environment.current = environment.desired;
      }
      return;
    }
    case Event::kRolloutFailed: {
      const v1::RolloutFailed& failed = event.rollout_failed();
      Environment& environment = environments_[ToString(failed.environment())];
      environment.rollout = v1::ROLLOUT_STATE_FAILED;
      environment.rollout_reason = failed.reason();
      environment.desired = failed.return_to_release();
      environment.promotion = failed.return_promotion();
      return;
    }
    case Event::kEnvironmentDeleted: {
      const v1::EnvironmentDeleted& deleted = event.environment_deleted();
      Environment& environment = environments_[ToString(deleted.environment())];
      environment.desired = 0;
      environment.current = 0;
      environment.previous = 0;
      environment.promotion = deleted.promotion();
      environment.rollout = v1::ROLLOUT_STATE_RUNNING;
      environment.rollout_reason.clear();
      environment.deleted = true;
      return;
    }
    case Event::EVENT_NOT_SET:
      break;
  }
  BERTH_CHECK_MESSAGE(false, "an event without content");
}

void State::Touched(const Event& event, std::set<TopicKey>* keys) const {
  switch (event.event_case()) {
    case Event::kReleasePromoted:
      keys->insert({kEnvironmentsTopic, ToString(event.release_promoted().environment())});
      return;
    case Event::kRolloutSucceeded:
      keys->insert({kEnvironmentsTopic, ToString(event.rollout_succeeded().environment())});
      return;
    case Event::kRolloutFailed:
      keys->insert({kEnvironmentsTopic, ToString(event.rollout_failed().environment())});
      return;
    case Event::kReleaseCreated:
      keys->insert({kEnvironmentsTopic, ToString(event.release_created().environment())});
      return;
    case Event::kEnvironmentDeleted:
      keys->insert({kEnvironmentsTopic, ToString(event.environment_deleted().environment())});
      return;
    case Event::kEnvironmentCreated:
    case Event::EVENT_NOT_SET:
      return;
  }
}

std::optional<std::string> State::View(const TopicKey& key) const {
  const auto found = environments_.find(key.second);
  if (key.first != kEnvironmentsTopic || found == environments_.end() ||
      found->second.promotion == 0) {
    return std::nullopt;
  }
  return ToProto(found->second).SerializeAsString();
}

TopicEntries State::Entries(const std::string& topic) const {
  TopicEntries entries;
  if (topic != kEnvironmentsTopic) return entries;
  for (const auto& [key, environment] : environments_) {
    if (environment.promotion == 0) continue;
    entries.emplace_back(key, ToProto(environment).SerializeAsString());
  }
  return entries;
}

absl::StatusOr<v1::Environment> State::FindEnvironment(const EnvironmentName& name) const {
  BERTH_ASSIGN_OR_RETURN(const Environment* environment, Find(name));
  return ToProto(*environment);
}

std::vector<v1::Environment> State::EnvironmentsOf(const std::string& org) const {
  std::vector<v1::Environment> environments;
  for (const auto& [key, environment] : environments_) {
    if (environment.name.org() == org && !environment.IsGone())
      environments.push_back(ToProto(environment));
  }
  return environments;
}

absl::StatusOr<std::vector<v1::Release>> State::ReleasesOf(const EnvironmentName& name) const {
  BERTH_ASSIGN_OR_RETURN(const Environment* environment, Find(name));
  std::vector<v1::Release> releases;
  for (auto release = environment->releases.rbegin(); release != environment->releases.rend();
       ++release) {
    releases.push_back(release->second);
  }
  return releases;
}

absl::StatusOr<const State::Environment*> State::Find(const EnvironmentName& name) const {
  const auto found = environments_.find(ToString(name));
  if (found != environments_.end() && !found->second.IsGone()) return &found->second;
  const std::string app_prefix = absl::StrCat(name.org(), "/", name.app(), "/");
  for (auto near = environments_.lower_bound(app_prefix);
       near != environments_.end() && absl::StartsWith(near->first, app_prefix); ++near) {
    if (near->second.IsGone()) continue;
    return absl::NotFoundError(absl::StrCat("app ", name.app(), " of org ", name.org(),
                                            " has no environment ", name.env(),
                                            "; see: berth env list"));
  }
  return absl::NotFoundError(
      absl::StrCat("org ", name.org(), " has no app ", name.app(), "; see: berth app list"));
}

v1::Environment State::ToProto(const Environment& environment) {
  v1::Environment proto;
  *proto.mutable_name() = environment.name;
  if (environment.desired != 0) {
    *proto.mutable_desired() = environment.releases.at(environment.desired);
  }
  proto.set_current_release(environment.current);
  proto.set_promotion(environment.promotion);
  proto.set_rollout(environment.rollout);
  proto.set_rollout_reason(environment.rollout_reason);
  if (environment.promoted.position() != 0) *proto.mutable_promoted() = environment.promoted;
  if (!environment.releases.empty()) {
    proto.set_newest_release(environment.releases.rbegin()->first);
  }
  proto.set_deleted(environment.deleted);
  return proto;
}

}  // namespace berth::config
