#include "services/scheduler/explain.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/ids/names.h"
#include "common/net/ipv6_text.h"
#include "common/time/timestamp.h"
#include "services/scheduler/feasibility.h"
#include "services/scheduler/reach.h"
#include "services/scheduler/reconcile.h"

namespace berth::scheduler {
namespace {

using v1::Predicate;

constexpr char kEnvironment[] = "environment";
constexpr char kRelease[] = "release";
constexpr char kProcess[] = "process";
constexpr char kInstance[] = "instance";
constexpr char kSecret[] = "secret";
constexpr char kImage[] = "image";
constexpr char kHost[] = "host";
constexpr char kRoute[] = "route";
constexpr char kEdge[] = "edge";
constexpr char kEdgePort[] = "edge-port";

constexpr char kHostPrincipal[] = "host/";

Predicate Make(const char* id, const char* kind, const std::string& name, std::string sentence) {
  Predicate predicate;
  predicate.set_id(id);
  predicate.mutable_object()->set_kind(kind);
  predicate.mutable_object()->set_name(name);
  predicate.set_sentence(std::move(sentence));
  return predicate;
}

// One that does not hold. `next` is empty where there is nothing to do but wait.
Predicate False(const char* id, const char* kind, const std::string& name, std::string sentence,
                std::string next) {
  Predicate predicate = Make(id, kind, name, std::move(sentence));
  predicate.set_next(std::move(next));
  return predicate;
}

std::string SecondsText(absl::Duration duration) {
  return absl::FormatDuration(absl::Trunc(duration, absl::Seconds(1)));
}

bool HasReadyCheck(const Instance& instance) { return instance.assignment.process().has_ready(); }

std::string WithReason(std::string sentence, const std::string& reason) {
  return reason.empty() ? sentence : absl::StrCat(sentence, ": ", reason);
}

// The report that the predicate follows from.
Predicate Observed(Predicate predicate, const Instance& instance) {
  types::v1::RecordReference* record = predicate.mutable_record();
  record->set_stream(State::kStream);
  record->set_position(instance.observed_position);
  record->set_actor(absl::StrCat(kHostPrincipal, instance.host));
  *record->mutable_time() = ToTimestamp(instance.observed_time);
  return predicate;
}

Predicate ImageMissing(const Instance& instance, const std::string& sentence) {
  return Observed(False(predicate::kImagePresent, kImage, instance.assignment.image(), sentence,
                        "see that the registry has the image and answers that host, then deploy "
                        "again"),
                  instance);
}

std::string PromotedText(const Environment& environment, uint64_t release) {
  const std::string& actor = environment.wanted.promoted().actor();
  return absl::StrCat(actor.empty() ? "config" : actor, " promoted release ", release);
}

// Whether the host could take the replica if it were there.
bool FitsIfPresent(const std::string& name, Host host, const Demand& demand) {
  host.presence = v1::HOST_PRESENCE_UP;
  return !WhyInfeasible(name, host, demand).has_value();
}

// One look at an environment: each step says what does not hold of it, if anything.
class Look {
 public:
  // Without `heard` only what the log tells counts.
  Look(const State& state, const Environment& environment, const std::string& target,
       const Heard* heard, absl::Time now)
      : state_(state),
        environment_(environment),
        release_(environment.wanted.desired()),
        target_(target),
        heard_(heard),
        now_(now) {
    for (const auto& [name, edge] : state.edges()) {
      if (!edge.excluded) edges_.insert(name);
    }
    for (const auto& entry : environment.instances) {
      const Instance& instance = entry.second;
      if (!IsInScope(entry.first, instance) || IsOnLostHost(instance)) continue;
      const bool stays = instance.assignment.intent() == v1::INTENT_RUN && !instance.draining &&
                         IsCurrent(environment, instance) &&
                         Wanted(instance.assignment.process_type()) > 0;
      (stays ? current_ : leaving_).push_back(&entry);
    }
  }

  // All that hold, and after them the first that does not.
  std::vector<Predicate> Chain() const {
    const std::string name = ToString(environment_.wanted.name());
    const std::string number = absl::StrCat(release_.number());
    const bool routed = !Routes().empty();
    std::vector<Predicate> chain;
    // A step counts on all before it: none is taken after the first that does not hold.
    auto step = [&](const char* kind, const std::string& object, const char* id,
                    const std::string& sentence, Wrong wrong) {
      if (!chain.empty() && !chain.back().holds()) return;
      if (std::optional<Predicate> found = (this->*wrong)()) {
        chain.push_back(*std::move(found));
        return;
      }
      chain.push_back(Make(id, kind, object, sentence));
      chain.back().set_holds(true);
    };
    auto all = [&](const char* id, const std::string& sentence, Wrong wrong) {
      step(kEnvironment, name, id, sentence, wrong);
    };
    all(predicate::kEnvironmentKnown, absl::StrCat("something was deployed to ", name),
        &Look::Nothing);
    step(kRelease, number, predicate::kReleasePromoted,
         PromotedText(environment_, release_.number()), &Look::ReleasePromoted);
    if (chain.back().holds()) *chain.back().mutable_record() = environment_.wanted.promoted();
    all(predicate::kSecretsExist, "every secret that it names is set", &Look::SecretsExist);
    if (routed) all(predicate::kRoutesAccepted, "its routes are its own", &Look::RoutesAccepted);
    all(predicate::kHostPresent, "no host that it needs is lost", &Look::HostPresent);
    all(predicate::kAgentReports, "the agents of its hosts report", &Look::AgentReports);
    all(predicate::kHostFits, "every replica that may be placed now has a host", &Look::HostFits);
    all(predicate::kImagePresent, "its hosts have the image", &Look::ImagePresent);
    all(predicate::kAgentApplied, "the agents have taken up every instance", &Look::AgentApplied);
    all(predicate::kInstanceStarted, "every instance runs", &Look::InstanceStarted);
    all(predicate::kProbePasses, "every ready check passes", &Look::ProbePasses);
    all(predicate::kReadyLongEnough, "every instance has been ready for long enough",
        &Look::ReadyLongEnough);
    if (routed && !edges_.empty()) {
      if (heard_ != nullptr) {
        all(predicate::kEdgeReports, "every edge reports", &Look::EdgeReports);
        all(predicate::kEdgeListens, "every edge listens on the routes' ports", &Look::EdgeListens);
      }
      all(predicate::kEdgeApplied, "every edge has taken up every instance", &Look::EdgeApplied);
      if (heard_ != nullptr) {
        all(predicate::kEndpointReached, "every edge reaches every instance",
            &Look::EndpointReached);
      }
    }
    all(predicate::kOldDrained, "nothing else of it is left", &Look::OldDrained);
    step(kRelease, number, predicate::kRolloutDone, absl::StrCat("release ", number, " is live"),
         &Look::RolloutDone);
    return chain;
  }

  uint32_t Ready() const {
    uint32_t ready = 0;
    for (const auto& [id, instance] : environment_.instances) {
      if (IsInScope(id, instance) && !IsOnLostHost(instance) &&
          instance.assignment.intent() == v1::INTENT_RUN &&
          instance.observed.phase() == v1::PHASE_READY) {
        ++ready;
      }
    }
    return ready;
  }

 private:
  using Entry = std::pair<const std::string, Instance>;
  // What is wrong at one step; nullopt: it holds.
  using Wrong = std::optional<Predicate> (Look::*)() const;
  using WrongFor = std::optional<Predicate> (Look::*)(const Entry&) const;

  bool IsInScope(const std::string& id, const Instance& instance) const {
    return target_.empty() || target_ == id || target_ == instance.assignment.process_type();
  }

  bool IsTypeInScope(const std::string& type) const {
    if (target_.empty() || target_ == type) return true;
    const auto instance = environment_.instances.find(target_);
    return instance != environment_.instances.end() &&
           instance->second.assignment.process_type() == type;
  }

  // Whether all replicas of the process types were asked about, not a single one.
  bool IsAboutTypes() const { return !environment_.instances.contains(target_); }

  bool IsOnLostHost(const Instance& instance) const {
    const auto host = state_.hosts().find(instance.host);
    return host == state_.hosts().end() || host->second.presence == v1::HOST_PRESENCE_LOST;
  }

  uint32_t Wanted(const std::string& type) const {
    const auto replicas = release_.replicas().find(type);
    return replicas == release_.replicas().end() ? 0 : replicas->second;
  }

  size_t Placed(const std::string& type) const {
    return std::count_if(current_.begin(), current_.end(), [&type](const Entry* entry) {
      return entry->second.assignment.process_type() == type;
    });
  }

  // Process types in scope that lack replicas.
  std::vector<std::string> Lacking() const {
    std::vector<std::string> lacking;
    if (!IsAboutTypes()) return lacking;
    for (const auto& [type, wanted] :
         std::map<std::string, uint32_t>(release_.replicas().begin(), release_.replicas().end())) {
      if (IsTypeInScope(type) && Placed(type) < wanted) lacking.push_back(type);
    }
    return lacking;
  }

  // The routes to what is in scope.
  RoutesByName Routes() const {
    RoutesByName routes = RoutesTo(environment_);
    std::erase_if(
        routes, [this](const auto& route) { return !IsTypeInScope(route.second.to().process()); });
    return routes;
  }

  std::optional<Predicate> FirstOf(const std::vector<const Entry*>& entries, WrongFor wrong) const {
    for (const Entry* entry : entries) {
      if (std::optional<Predicate> found = (this->*wrong)(*entry)) return found;
    }
    return std::nullopt;
  }

  // What keeps a process type without replicas from a host, if that is `id`.
  std::optional<Predicate> NoRoomFor(const char* id) const {
    for (const std::string& type : Lacking()) {
      if (!environment_.unplaced.contains(type)) continue;
      Predicate wrong = NoRoom(state_, environment_, type);
      if (wrong.id() == id) return wrong;
    }
    return std::nullopt;
  }

  std::optional<Predicate> Nothing() const { return std::nullopt; }

  std::optional<Predicate> ReleasePromoted() const {
    if (release_.number() != 0 || environment_.wanted.deleted()) return std::nullopt;
    return False(predicate::kReleasePromoted, kEnvironment, ToString(environment_.wanted.name()),
                 "no release is to run", "deploy one: berth deploy");
  }

  std::optional<Predicate> SecretsExist() const {
    const SecretVersions& active = state_.ActiveSecrets(ToString(environment_.wanted.name()));
    for (const std::string& type : Lacking()) {
      for (const std::string& name : release_.manifest().processes().at(type).secrets().names()) {
        if (active.contains(name)) continue;
        return False(predicate::kSecretsExist, kSecret, name,
                     absl::StrCat("process ", type, " names secret ", name,
                                  ", which is not set in ", ToString(environment_.wanted.name())),
                     absl::StrCat("set it: berth secret set ", name));
      }
    }
    return std::nullopt;
  }

  std::optional<Predicate> RoutesAccepted() const {
    if (environment_.routes_promotion < environment_.wanted.promotion()) {
      return False(predicate::kRoutesAccepted, kRoute, Routes().begin()->first,
                   "the edge-router has not answered for the routes yet", "");
    }
    if (environment_.routes_refused.empty()) return std::nullopt;
    return RouteRefused(environment_);
  }

  // How long the host has been silent, after `before`; empty where that is not known.
  std::string SilenceText(const std::string& before, const std::string& host) const {
    if (heard_ == nullptr) return "";
    const auto silence = heard_->host_silence.find(host);
    if (silence == heard_->host_silence.end()) return "";
    return absl::StrCat(before, SecondsText(silence->second));
  }

  Predicate Lost(const std::string& host) const {
    return False(predicate::kHostPresent, kHost, host,
                 absl::StrCat("host ", host, " has not reported", SilenceText(" for ", host),
                              " and counts as lost; no other host has taken its instances"),
                 "bring the host and its agent back, or make room on another; see: berth host "
                 "list");
  }

  Predicate Silent(const std::string& host) const {
    const bool connected = heard_ == nullptr || heard_->connected.contains(host);
    return False(predicate::kAgentReports, kHost, host,
                 connected ? absl::StrCat("the agent of host ", host, " has not reported",
                                          SilenceText(" for ", host))
                           : absl::StrCat("the agent of host ", host, " is not connected",
                                          SilenceText("; its last report came before ", host)),
                 absl::StrCat("see on ", host, " that berth-agent runs; berth up starts it"));
  }

  std::optional<Predicate> HostPresent() const {
    const std::vector<std::string> lacking = Lacking();
    for (const auto& [id, instance] : environment_.instances) {
      const std::string& type = instance.assignment.process_type();
      const auto host = state_.hosts().find(instance.host);
      const bool missed =
          id == target_ || std::find(lacking.begin(), lacking.end(), type) != lacking.end();
      if (missed && host != state_.hosts().end() && IsOnLostHost(instance) &&
          IsCurrent(environment_, instance)) {
        return Lost(instance.host);
      }
    }
    if (std::optional<Predicate> wrong = NoRoomFor(predicate::kHostPresent)) {
      return Lost(wrong->object().name());
    }
    return std::nullopt;
  }

  std::optional<Predicate> AgentReports() const {
    for (const auto* entries : {&current_, &leaving_}) {
      for (const Entry* entry : *entries) {
        const std::string& host = entry->second.host;
        if (state_.hosts().at(host).presence != v1::HOST_PRESENCE_UP ||
            (heard_ != nullptr && !heard_->connected.contains(host))) {
          return Silent(host);
        }
      }
    }
    if (std::optional<Predicate> wrong = NoRoomFor(predicate::kAgentReports)) {
      return Silent(wrong->object().name());
    }
    return std::nullopt;
  }

  std::optional<Predicate> HostFits() const { return NoRoomFor(predicate::kHostFits); }

  std::optional<Predicate> ImagePresent() const {
    if (std::optional<Predicate> wrong = NoRoomFor(predicate::kImagePresent)) return wrong;
    return FirstOf(current_, &Look::ImagePresentFor);
  }

  std::optional<Predicate> ImagePresentFor(const Entry& entry) const {
    const auto& [id, instance] = entry;
    const v1::InstanceReport& observed = instance.observed;
    if (observed.phase() == v1::PHASE_PULLING) {
      return ImageMissing(instance, WithReason(absl::StrCat("host ", instance.host,
                                                            " is fetching the image for ", id),
                                               observed.reason()));
    }
    if (observed.phase() != v1::PHASE_FAILED || observed.failure() != v1::FAILURE_IMAGE) {
      return std::nullopt;
    }
    return InstanceFailed(id, instance);
  }

  std::optional<Predicate> AgentApplied() const {
    return FirstOf(current_, &Look::AgentAppliedFor);
  }

  std::optional<Predicate> AgentAppliedFor(const Entry& entry) const {
    const auto& [id, instance] = entry;
    if (instance.observed.phase() != v1::PHASE_UNSPECIFIED) return std::nullopt;
    Predicate wrong = False(
        predicate::kAgentApplied, kHost, instance.host,
        absl::StrCat("the agent of host ", instance.host, " has not taken up ", id, " yet"), "");
    if (instance.placed.position() != 0) *wrong.mutable_record() = instance.placed;
    return wrong;
  }

  std::optional<Predicate> InstanceStarted() const {
    return FirstOf(current_, &Look::InstanceStartedFor);
  }

  std::optional<Predicate> InstanceStartedFor(const Entry& entry) const {
    const auto& [id, instance] = entry;
    switch (instance.observed.phase()) {
      case v1::PHASE_FAILED:
      case v1::PHASE_STOPPED:
        return InstanceFailed(id, instance);
      case v1::PHASE_STARTING:
        if (HasReadyCheck(instance)) return std::nullopt;
        return Observed(False(predicate::kInstanceStarted, kInstance, id,
                              WithReason(absl::StrCat("instance ", id, " is being started"),
                                         instance.observed.reason()),
                              ""),
                        instance);
      default:
        return std::nullopt;
    }
  }

  std::optional<Predicate> ProbePasses() const { return FirstOf(current_, &Look::ProbePassesFor); }

  std::optional<Predicate> ProbePassesFor(const Entry& entry) const {
    const auto& [id, instance] = entry;
    const v1::Phase phase = instance.observed.phase();
    if (phase != v1::PHASE_STARTING && phase != v1::PHASE_UNREADY) return std::nullopt;
    return Observed(
        False(predicate::kProbePasses, kInstance, id,
              WithReason(absl::StrCat("instance ", id, " runs, and its ready check does not pass"),
                         instance.observed.reason()),
              "see what it prints: berth logs; the check is checks.ready in the manifest"),
        instance);
  }

  std::optional<Predicate> ReadyLongEnough() const {
    if (environment_.rollout.phase != v1::ROLLOUT_PHASE_RUNNING) return std::nullopt;
    return FirstOf(current_, &Look::ReadyLongEnoughFor);
  }

  std::optional<Predicate> ReadyLongEnoughFor(const Entry& entry) const {
    const auto& [id, instance] = entry;
    const std::optional<absl::Time> healthy = HealthyTime(instance);
    if (!healthy.has_value() || *healthy <= now_) return std::nullopt;
    return Observed(
        False(predicate::kReadyLongEnough, kInstance, id,
              absl::StrCat("instance ", id, " is ready and has to be so for another ",
                           absl::FormatDuration(absl::Ceil(*healthy - now_, absl::Seconds(1)))),
              ""),
        instance);
  }

  std::optional<Predicate> EdgeReports() const {
    for (const std::string& edge : edges_) {
      const auto silence = heard_->edge_silence.find(edge);
      const bool heard = silence != heard_->edge_silence.end() && heard_->edges.contains(edge);
      if (heard && silence->second < heard_->silence_max) continue;
      return False(predicate::kEdgeReports, kEdge, edge,
                   heard ? absl::StrCat("edge ", edge, " has not reported for ",
                                        SecondsText(silence->second))
                         : absl::StrCat("edge ", edge, " has not reported"),
                   absl::StrCat("see on its machine that berth-edge runs; berth up starts it"));
    }
    return std::nullopt;
  }

  std::optional<Predicate> EdgeListens() const {
    for (const auto& [name, route] : Routes()) {
      const uint32_t port = route.has_tls() ? route.tls().port() : route.tcp().port();
      for (const auto& [edge, report] : heard_->edges) {
        const auto problem = report.listener_problems().find(port);
        if (problem == report.listener_problems().end() || !edges_.contains(edge)) continue;
        return False(predicate::kEdgeListens, kEdgePort, absl::StrCat(edge, ":", port),
                     absl::StrCat("edge ", edge, " cannot listen on port ", port, " for route ",
                                  name, ": ", problem->second),
                     "end what has the port on that machine, or choose another for the route");
      }
    }
    return std::nullopt;
  }

  bool IsServed(const Instance& instance) const {
    return instance.observed.phase() == v1::PHASE_READY &&
           IsRouted(environment_, instance.assignment.process_type());
  }

  std::optional<Predicate> EdgeApplied() const { return FirstOf(current_, &Look::EdgeAppliedFor); }

  std::optional<Predicate> EdgeAppliedFor(const Entry& entry) const {
    const auto& [id, instance] = entry;
    if (!IsServed(instance)) return std::nullopt;
    if (heard_ == nullptr) {
      if (instance.serving) return std::nullopt;
      return Observed(False(predicate::kEdgeApplied, kInstance, id,
                            absl::StrCat("instance ", id,
                                         " is ready, but not every edge sends connections to "
                                         "it"),
                            "see that every edge runs and reaches the instance's address"),
                      instance);
    }
    for (const std::string& edge : edges_) {
      if (heard_->edges.at(edge).applied().position() >= instance.ready_position) continue;
      return Observed(
          False(predicate::kEdgeApplied, kEdge, edge,
                absl::StrCat("edge ", edge, " does not know yet that ", id, " is ready"), ""),
          instance);
    }
    return std::nullopt;
  }

  std::optional<Predicate> EndpointReached() const {
    return FirstOf(current_, &Look::EndpointReachedFor);
  }

  std::optional<Predicate> EndpointReachedFor(const Entry& entry) const {
    const auto& [id, instance] = entry;
    if (!IsServed(instance)) return std::nullopt;
    for (const std::string& edge : edges_) {
      const v1::ReportEdgeRequest& report = heard_->edges.at(edge);
      if (!IsMissed(report, id)) continue;
      if (HostsMissed(state_, report).contains(instance.host)) {
        return False(predicate::kEndpointReached, kHost, instance.host,
                     absl::StrCat("edge ", edge, " could connect to no instance on host ",
                                  instance.host, ", ", id, " among them"),
                     absl::StrCat("see that the machine of edge ", edge, " has a way to ",
                                  NetworkOf(instance.host), ", where the host's instances are"));
      }
      return False(predicate::kEndpointReached, kInstance, id,
                   absl::StrCat("edge ", edge, " could not connect to ", id, " on host ",
                                instance.host, ", whose other instances it reaches"),
                   "see that it listens on the route's port");
    }
    return std::nullopt;
  }

  std::string NetworkOf(const std::string& host) const {
    const auto known = state_.hosts().find(host);
    return known == state_.hosts().end() ? "it" : Ipv6NetworkText(known->second.machine.prefix());
  }

  std::optional<Predicate> OldDrained() const {
    if (leaving_.empty()) return std::nullopt;
    const auto& [id, instance] = *leaving_.front();
    const bool stopping = instance.assignment.intent() == v1::INTENT_STOP;
    return False(predicate::kOldDrained, kInstance, id,
                 absl::StrCat("instance ", id, " of release ", instance.assignment.release(),
                              stopping            ? " is being stopped"
                              : instance.draining ? " still has connections"
                                                  : " is still to be replaced"),
                 "");
  }

  std::optional<Predicate> RolloutDone() const {
    const std::string number = absl::StrCat(release_.number());
    if (const std::vector<std::string> lacking = Lacking(); !lacking.empty()) {
      return False(predicate::kRolloutDone, kProcess, lacking.front(),
                   absl::StrCat(Placed(lacking.front()), " of ", Wanted(lacking.front()),
                                " replicas of ", lacking.front(), " are there"),
                   "");
    }
    if (environment_.rollout.phase == v1::ROLLOUT_PHASE_RUNNING ||
        environment_.rollout.promotion < environment_.wanted.promotion()) {
      return False(predicate::kRolloutDone, kRelease, number,
                   absl::StrCat("release ", number, " is being rolled out"), "");
    }
    return std::nullopt;
  }

  const State& state_;
  const Environment& environment_;
  const config::v1::Release& release_;
  const std::string& target_;
  const Heard* const heard_;
  const absl::Time now_;
  std::set<std::string> edges_;        // That rollouts wait for.
  std::vector<const Entry*> current_;  // What is to stay, on hosts that are not lost.
  std::vector<const Entry*> leaving_;
};

// What only time keeps from holding says less than why the newest release failed.
bool IsProgress(const Predicate& predicate) {
  return predicate.id() == predicate::kOldDrained || predicate.id() == predicate::kRolloutDone ||
         predicate.id() == predicate::kReadyLongEnough;
}

std::vector<Predicate> FailedChain(const Environment& environment) {
  const std::string name = ToString(environment.wanted.name());
  const std::string number = absl::StrCat(environment.failed_release);
  const config::v1::Environment& wanted = environment.wanted;
  std::vector<Predicate> chain;
  chain.push_back(Make(predicate::kEnvironmentKnown, kEnvironment, name,
                       absl::StrCat("something was deployed to ", name)));
  chain.push_back(Make(predicate::kReleasePromoted, kRelease, number,
                       PromotedText(environment, environment.failed_release)));
  *chain.back().mutable_record() = wanted.promoted();
  for (Predicate& held : chain) held.set_holds(true);
  Predicate cause = environment.failure->cause();
  if (cause.id().empty()) {
    cause = False(predicate::kRolloutDone, kRelease, number, environment.failure->reason(),
                  "mend it and deploy again");
  }
  cause.set_sentence(absl::StrCat(
      "release ", number, " failed: ", cause.sentence(), "; ",
      wanted.current_release() == 0
          ? "nothing serves instead"
          : absl::StrCat("release ", wanted.current_release(), " is to serve instead")));
  chain.push_back(std::move(cause));
  return chain;
}

}  // namespace

Predicate NoRoom(const State& state, const Environment& environment,
                 const std::string& process_type) {
  const config::v1::Release& release = environment.wanted.desired();
  const Demand demand{environment.wanted.name().org(),
                      &release.manifest().processes().at(process_type), release.image(),
                      release.image_is_local()};
  Demand besides_image = demand;
  besides_image.image_is_local = false;
  std::string reasons;
  std::string lost;
  std::string silent;
  bool image_missing = false;
  for (const auto& [name, host] : state.hosts()) {
    const std::optional<std::string> why = WhyInfeasible(name, host, demand);
    if (!why.has_value()) continue;
    absl::StrAppend(&reasons, reasons.empty() ? "" : "; ", *why);
    image_missing = image_missing || !WhyInfeasible(name, host, besides_image).has_value();
    if (!FitsIfPresent(name, host, demand)) continue;
    (host.presence == v1::HOST_PRESENCE_LOST ? lost : silent) = name;
  }
  const std::string sentence =
      absl::StrCat("no host can take a replica of ", process_type, ": ",
                   state.hosts().empty() ? "there is no host yet" : reasons);
  if (image_missing) {
    return False(predicate::kImagePresent, kImage, release.image(), sentence,
                 "build or load the image on a host that has room, and deploy again");
  }
  if (!lost.empty()) {
    return False(predicate::kHostPresent, kHost, lost, sentence, "bring the host back");
  }
  if (!silent.empty()) {
    return False(predicate::kAgentReports, kHost, silent, sentence,
                 absl::StrCat("see on ", silent, " that berth-agent runs; berth up starts it"));
  }
  return False(predicate::kHostFits, kProcess, process_type, sentence,
               "ask for less, take something else down, or add a host; what is left: berth host "
               "list");
}

Predicate RouteRefused(const Environment& environment) {
  const auto& [route, why] = *environment.routes_refused.begin();
  return False(predicate::kRoutesAccepted, kRoute, route,
               absl::StrCat("route ", route, " was refused: ", why),
               "choose another hostname or port, or take the route from the app that has it, and "
               "deploy again");
}

Predicate InstanceFailed(const std::string& id, const Instance& instance) {
  const v1::InstanceReport& observed = instance.observed;
  if (observed.failure() == v1::FAILURE_IMAGE) {
    return ImageMissing(
        instance, WithReason(absl::StrCat("host ", instance.host, " cannot get the image for ", id),
                             observed.reason()));
  }
  std::string sentence = WithReason(absl::StrCat("instance ", id, " failed"), observed.reason());
  if (!observed.log_tail().empty()) {
    absl::StrAppend(&sentence, "; it printed last: ", *observed.log_tail().rbegin());
  }
  std::string next = "see what it prints: berth logs; mend it and deploy again";
  if (instance.failures_in_row >= State::kFailuresMax) {
    absl::StrAppend(&sentence, "; after ", instance.failures_in_row,
                    " failures in a row it is not started again");
    next = absl::StrCat(
        "see what it prints: berth logs; mend it and deploy again, or try the same "
        "again: berth restart ",
        instance.assignment.process_type());
  }
  return Observed(False(predicate::kInstanceStarted, kInstance, id, sentence, next), instance);
}

Predicate FirstFalse(const State& state, const Environment& environment, absl::Time now) {
  const std::vector<Predicate> chain = Look(state, environment, "", nullptr, now).Chain();
  return chain.back().holds() ? Predicate() : chain.back();
}

absl::StatusOr<v1::WhyResponse> Explain(const State& state, const Environment& environment,
                                        const std::string& target, const Heard& heard,
                                        absl::Time now) {
  const config::v1::Environment& wanted = environment.wanted;
  const bool failed =
      environment.failure.has_value() && (environment.rollout.phase == v1::ROLLOUT_PHASE_FAILED ||
                                          wanted.rollout() == config::v1::ROLLOUT_STATE_FAILED);
  if (!target.empty() && !wanted.desired().manifest().processes().contains(target) &&
      !environment.instances.contains(target) &&
      !(failed && environment.failure->failed_instance().instance() == target)) {
    return absl::NotFoundError(absl::StrCat(ToString(wanted.name()),
                                            " has no process type and no instance ", target,
                                            "; see: berth status"));
  }
  const Look look(state, environment, target, &heard, now);
  std::vector<Predicate> chain = look.Chain();
  const bool waits_for_config =
      environment.rollout.phase == v1::ROLLOUT_PHASE_FAILED && !environment.rollout.IsReturning();
  if (failed && (waits_for_config || chain.back().holds() || wanted.desired().number() == 0 ||
                 IsProgress(chain.back()))) {
    chain = FailedChain(environment);
  }
  v1::WhyResponse response;
  response.set_converged(chain.back().holds());
  response.set_ready(look.Ready());
  for (Predicate& predicate : chain) *response.add_predicates() = std::move(predicate);
  return response;
}

}  // namespace berth::scheduler
