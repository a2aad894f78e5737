#include "services/scheduler/service.h"

#include <utility>
#include <vector>

#include "berth/config/v1/config.pb.h"
#include "berth/edge_router/v1/edge_router.pb.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "common/ids/names.h"
#include "common/log/log.h"
#include "services/scheduler/reach.h"
#include "services/scheduler/reconcile.h"

namespace berth::scheduler {
namespace {

constexpr char kServicePrincipal[] = "service/scheduler";
// Of an instance that starts while its output is followed: as many lines as an agent sends.
constexpr uint32_t kFollowedTailMax = 10'000;

CommandOrigin Internal(absl::string_view method) {
  CommandOrigin origin;
  origin.principal = kServicePrincipal;
  origin.method = std::string(method);
  return origin;
}

bool Matches(const v1::LogsRequest& request, const std::string& instance,
             const std::string& process_type) {
  return (request.instance().empty() || request.instance() == instance) &&
         (request.process_type().empty() || request.process_type() == process_type);
}

// Whether there is something that prints: not while its image is fetched or its start is under way.
bool HasStarted(const v1::InstanceReport& report) { return report.has_start_time(); }

// The environment that an event is about; nullptr: none.
const types::v1::EnvironmentName* EnvironmentOf(const v1::Event& event) {
  switch (event.event_case()) {
    case v1::Event::kEnvironmentImported:
      return &event.environment_imported().environment().name();
    case v1::Event::kRolloutStarted:
      return &event.rollout_started().environment();
    case v1::Event::kInstancePlaced:
      return &event.instance_placed().assignment().environment();
    case v1::Event::kInstanceObserved:
      return &event.instance_observed().environment();
    case v1::Event::kAttemptStarted:
      return &event.attempt_started().environment();
    case v1::Event::kInstanceDraining:
      return &event.instance_draining().environment();
    case v1::Event::kInstanceStopping:
      return &event.instance_stopping().environment();
    case v1::Event::kInstanceRemoved:
      return &event.instance_removed().environment();
    case v1::Event::kProcessesRestarted:
      return &event.processes_restarted().environment();
    case v1::Event::kRolloutSucceeded:
      return &event.rollout_succeeded().environment();
    case v1::Event::kRolloutFailed:
      return &event.rollout_failed().environment();
    case v1::Event::kFenceReached:
      return &event.fence_reached().environment();
    case v1::Event::kRouteStatesImported:
      return &event.route_states_imported().environment();
    case v1::Event::kActiveSecretsImported:
      return &event.active_secrets_imported().environment();
    case v1::Event::kClockSet:
    case v1::Event::kExecGranted:
    case v1::Event::kPlacementRefused:
    case v1::Event::kRolloutReported:
    case v1::Event::kEdgeImported:
    case v1::Event::kEdgeRemoved:
    case v1::Event::kEdgeExcluded:
    case v1::Event::kEdgeIncluded:
    case v1::Event::kSourceAdvanced:
    case v1::Event::kHostImported:
    case v1::Event::kHostRemoved:
    case v1::Event::kHostFactsChanged:
    case v1::Event::kHostLabelled:
    case v1::Event::kHostPresenceChanged:
    case v1::Event::EVENT_NOT_SET:
      return nullptr;
  }
  return nullptr;
}

bool IsAboutMachines(const v1::Event& event) {
  return event.has_edge_imported() || event.has_edge_removed() || event.has_edge_excluded() ||
         event.has_edge_included() || event.has_host_imported() || event.has_host_removed() ||
         event.has_host_facts_changed() || event.has_host_labelled() ||
         event.has_host_presence_changed();
}

}  // namespace

Service::Service(EventLog* log, Executor* executor, const Clock* clock, IdSource* ids,
                 rpc::AccessView* access, LivenessPolicy liveness)
    : executor_(executor),
      clock_(clock),
      state_(State::kStream, LogWriter::Limits(), log, executor, clock, ids,
             {[this](const State& state, uint64_t) { Loaded(state); },
              [this](const State& state, const std::vector<v1::Event>& events, uint64_t) {
                Published(state, events);
              },
              [this] { SteppedDown(); }}),
      dispatcher_(v1::ReportRequest::descriptor()->file()->service(0), &state_, access, executor,
                  clock),
      execs_(&relay_, ids),
      importer_(State::kStream, executor, ids,
                [this](const Import& import, std::function<void(absl::Status)> done) {
                  ExecuteImport(import, std::move(done));
                }),
      liveness_policy_(liveness),
      liveness_(liveness) {
  AddHandlers();
}

void Service::Start(std::string address, std::function<void(absl::Status)> started) {
  state_.Start({kServicePrincipal, std::move(address)}, std::move(started));
}

void Service::CountFleet(std::function<void(absl::StatusOr<FleetNumbers>)> answer) {
  state_.Read<FleetNumbers>(
      [](const State& state) -> absl::StatusOr<FleetNumbers> { return NumbersOf(state); },
      std::move(answer));
}

void Service::Follow(Platform platform) {
  executor_->Post([this, platform = std::move(platform)] {
    platform_ = platform;
    grant_key_ = platform.grant_key;
    FollowOthers();
    // What waited for the key.
    state_.Read<std::vector<std::string>>(
        [](const State& state) -> absl::StatusOr<std::vector<std::string>> {
          std::vector<std::string> keys;
          for (const auto& [key, environment] : state.environments()) keys.push_back(key);
          return keys;
        },
        [this](const absl::StatusOr<std::vector<std::string>>& keys) {
          // A log that cannot be served now is loaded again, and then everything is dirty.
          for (const std::string& key : keys.value_or(std::vector<std::string>())) MarkDirty(key);
        });
  });
}

void Service::FollowOthers() {
  if (!platform_.has_value() || !state_.writer().Leading().ok()) return;
  importer_.Follow(
      {{State::kConfigSource,
        rpc::Subscription::Over<config::v1::WatchEnvironmentsRequest>(platform_->config)},
       {State::kAuthSource,
        rpc::Subscription::Over<auth::v1::WatchMachinesRequest>(platform_->auth)},
       {State::kEdgeRouterSource,
        rpc::Subscription::Over<edge_router::v1::WatchRouteStatesRequest>(platform_->edge_router)},
       {State::kSecretsSource,
        rpc::Subscription::Over<secrets::v1::WatchActiveSecretsRequest>(platform_->secrets)}});
}

void Service::ExecuteImport(const Import& import, std::function<void(absl::Status)> done) {
  CommandOrigin origin = Internal("Import");
  origin.cause.set_stream(import.source);
  origin.cause.set_position(import.revision.position());
  state_.Execute<v1::ReportResponse>(
      std::move(origin), Recorded::kOnChange,
      [import](const State& state, const DecisionContext&) { return state.Decide(import); },
      [done = std::move(done)](absl::StatusOr<v1::ReportResponse> imported) {
        done(imported.status());
      });
}

void Service::Loaded(const State& state) {
  std::vector<std::string> hosts;
  for (const auto& [name, host] : state.hosts()) hosts.push_back(name);
  liveness_.Restart(hosts, clock_->Monotonic());
  ScheduleLivenessCheck();
  wakes_.clear();
  for (const auto& [key, environment] : state.environments()) MarkDirty(key);
  FollowOthers();
}

void Service::SteppedDown() {
  // All of this is the leader's alone; the next one hears it anew.
  importer_.Stop();
  edge_reports_.clear();
  edges_heard_.clear();
  logs_followers_.clear();
  wakes_.clear();
  dirty_.clear();
  reporting_.clear();
  liveness_check_at_ = absl::InfiniteDuration();
}

void Service::Published(const State& state, const std::vector<v1::Event>& events) {
  bool machines_changed = false;
  bool room_freed = false;
  bool edges_fewer = false;
  bool times_moved = false;
  for (const v1::Event& event : events) {
    if (observer_ != nullptr) observer_(event);
    if (const types::v1::EnvironmentName* name = EnvironmentOf(event)) MarkDirty(ToString(*name));
    machines_changed = machines_changed || IsAboutMachines(event);
    room_freed = room_freed || event.has_instance_removed();
    if (event.has_instance_observed()) FollowOutput(event.instance_observed(), state);
    // One that joined anew has to report anew.
    if (event.has_edge_removed() || event.has_edge_imported()) {
      const std::string& edge =
          event.has_edge_removed() ? event.edge_removed().edge() : event.edge_imported().edge();
      edge_reports_.erase(edge);
      edges_heard_.erase(edge);
    }
    edges_fewer = edges_fewer || event.has_edge_removed() || event.has_edge_excluded();
    times_moved = times_moved || event.has_clock_set();
    if (event.has_host_imported()) {
      liveness_.Heard(event.host_imported().machine().name(), clock_->Monotonic());
      ScheduleLivenessCheck();
    }
  }
  if (times_moved) wakes_.clear();
  for (const auto& [key, environment] : state.environments()) {
    // Room that one environment gives up is room that another may wait for.
    if (machines_changed || times_moved || (room_freed && !environment.unplaced.empty())) {
      MarkDirty(key);
    }
  }
  // The others may have acknowledged what was waited for.
  if (edges_fewer) {
    executor_->Post([this] { MarkFences([](absl::StatusOr<v1::ReportResponse>) {}); });
  }
}

// Whoever follows what matches the instance gets all that it prints, from its start.
void Service::FollowOutput(const v1::InstanceObserved& observed, const State& state) {
  std::erase_if(logs_followers_,
                [](const LogsFollower& follower) { return follower.conversation.expired(); });
  const v1::InstanceReport& report = observed.observed();
  const std::string environment = ToString(observed.environment());
  const auto known = state.environments().find(environment);
  if (!HasStarted(report) || known == state.environments().end()) return;
  const auto instance = known->second.instances.find(report.instance());
  if (instance == known->second.instances.end()) return;
  v1::OpenLogs open;
  open.set_instance(report.instance());
  open.set_tail(kFollowedTailMax);
  open.set_follow(true);
  for (const LogsFollower& follower : logs_followers_) {
    const std::shared_ptr<LogsConversation> conversation = follower.conversation.lock();
    if (conversation == nullptr || ToString(follower.request.environment()) != environment ||
        !Matches(follower.request, report.instance(), instance->second.assignment.process_type())) {
      continue;
    }
    LogsConversation::Add(conversation, observed.host(), open, report.attempt());
  }
}

void Service::MarkFences(std::function<void(absl::StatusOr<v1::ReportResponse>)> marked) {
  state_.Execute<v1::ReportResponse>(
      Internal("MarkFences"), Recorded::kOnChange,
      [reports = edge_reports_](const State& state, const DecisionContext&) {
        return state.MarkFences(reports);
      },
      std::move(marked));
}

v1::HostPresence Service::PresenceOfEdge(const std::string& edge) const {
  const auto heard = edges_heard_.find(edge);
  if (heard == edges_heard_.end()) return v1::HOST_PRESENCE_UNSPECIFIED;
  const absl::Duration silence = clock_->Monotonic() - heard->second;
  return silence < LivenessPolicy().stale_after ? v1::HOST_PRESENCE_UP : v1::HOST_PRESENCE_STALE;
}

void Service::MarkDirty(const std::string& environment) {
  dirty_.insert(environment);
  if (reconcile_posted_) return;
  reconcile_posted_ = true;
  executor_->Post([this] { ReconcileDirty(); });
}

void Service::ReconcileDirty() {
  reconcile_posted_ = false;
  const std::set<std::string> dirty = std::exchange(dirty_, {});
  for (const std::string& environment : dirty) {
    auto reconciled = std::make_shared<absl::Time>(absl::InfinitePast());
    state_.Execute<v1::ReportResponse>(
        Internal("Reconcile"), Recorded::kOnChange,
        [this, environment, reconciled](const State& state, const DecisionContext& context)
            -> Decided<v1::Event, v1::ReportResponse> {
          *reconciled = context.now;
          Decision<v1::Event, v1::ReportResponse> decision;
          decision.events = Reconcile(state, environment, grant_key_, context);
          return decision;
        },
        [](absl::StatusOr<v1::ReportResponse>) {});
    state_.Read<absl::Time>(
        [this, environment, reconciled](const State& state) -> absl::StatusOr<absl::Time> {
          ReportRollouts(state, environment);
          const auto found = state.environments().find(environment);
          return found == state.environments().end() ? absl::InfiniteFuture()
                                                     : NextWake(found->second, *reconciled);
        },
        [this, environment](absl::StatusOr<absl::Time> wake) {
          // A log that cannot be served now is loaded again, and then everything is dirty.
          if (wake.ok()) ScheduleWake(environment, *wake);
        });
  }
}

void Service::ScheduleWake(const std::string& environment, absl::Time wake) {
  if (wake == absl::InfiniteFuture()) {
    wakes_.erase(environment);
    return;
  }
  const auto asked = wakes_.find(environment);
  if (asked != wakes_.end() && asked->second <= wake && asked->second > clock_->Now()) return;
  wakes_[environment] = wake;
  const absl::Duration delay = std::max(absl::Milliseconds(1), wake - clock_->Now());
  executor_->PostAfter(delay, [this, environment, wake] {
    const auto still = wakes_.find(environment);
    if (still == wakes_.end() || still->second != wake) return;
    wakes_.erase(still);
    MarkDirty(environment);
  });
}

void Service::ReportRollouts(const State& state, const std::string& environment) {
  const auto found = state.environments().find(environment);
  if (found == state.environments().end()) return;
  const Rollout& rollout = found->second.rollout;
  if (rollout.reported || !platform_.has_value() ||
      (rollout.phase != v1::ROLLOUT_PHASE_SUCCEEDED && rollout.phase != v1::ROLLOUT_PHASE_FAILED) ||
      !reporting_.insert(environment).second) {
    return;
  }
  config::v1::ReportRolloutRequest request;
  *request.mutable_environment() = found->second.wanted.name();
  request.set_promotion(rollout.promotion);
  if (rollout.phase == v1::ROLLOUT_PHASE_FAILED) request.set_failure(rollout.reason);
  ReportRollout(std::move(request));
}

void Service::ReportRollout(config::v1::ReportRolloutRequest request) {
  platform_->config->CallAsync<config::v1::ReportRolloutResponse>(
      request, {}, [this, request](absl::StatusOr<config::v1::ReportRolloutResponse> response) {
        executor_->Post([this, request, status = response.status()] {
          const std::string environment = ToString(request.environment());
          // Who leads now tells config what is still to be told.
          if (!reporting_.contains(environment)) return;
          if (!status.ok()) {
            LogWarning("config could not be told how a rollout ended",
                       {{"environment", environment}, {"why", status.message()}});
            executor_->PostAfter(kReportRetryDelay, [this, request, environment] {
              if (reporting_.contains(environment)) ReportRollout(request);
            });
            return;
          }
          state_.Execute<v1::ReportResponse>(
              Internal("MarkReported"), Recorded::kOnChange,
              [request](const State& state, const DecisionContext&) {
                return state.MarkReported(request.environment(), request.promotion());
              },
              [this, environment](absl::StatusOr<v1::ReportResponse>) {
                reporting_.erase(environment);
                MarkDirty(environment);
              });
        });
      });
}

void Service::ScheduleLivenessCheck() {
  const absl::Duration now = clock_->Monotonic();
  const absl::Duration next = liveness_.NextChange(now);
  if (next == absl::InfiniteDuration() || liveness_check_at_ <= next) return;
  liveness_check_at_ = next;
  executor_->PostAfter(next - now, [this, next] {
    if (liveness_check_at_ != next) return;
    liveness_check_at_ = absl::InfiniteDuration();
    CheckLiveness();
  });
}

void Service::CheckLiveness() {
  for (const auto& [host, presence] : liveness_.SilentAt(clock_->Monotonic())) {
    state_.Execute<v1::ReportResponse>(
        Internal("HostSilent"), Recorded::kOnChange,
        [host, presence](const State& state, const DecisionContext&) {
          return state.SetPresence(host, presence);
        },
        [](absl::StatusOr<v1::ReportResponse>) {});
  }
  ScheduleLivenessCheck();
}

Heard Service::HeardNow() {
  const absl::Duration now = clock_->Monotonic();
  Heard heard{edge_reports_,
              {},
              liveness_.SilenceAt(now),
              relay_.Connected(),
              liveness_policy_.stale_after};
  for (const auto& [edge, at] : edges_heard_) heard.edge_silence[edge] = now - at;
  return heard;
}

void Service::AddHandlers() {
  dispatcher_.Unary<v1::ReportRequest, v1::ReportResponse>(
      [this](const rpc::Call& call, const v1::ReportRequest& request, auto reply) {
        const std::string host = call.caller.machine->name();
        executor_->Post([this, host] {
          liveness_.Heard(host, clock_->Monotonic());
          ScheduleLivenessCheck();
        });
        CommandOrigin origin = call.origin;
        origin.request_id.clear();  // A report is harmless to repeat and not worth remembering.
        state_.Execute<v1::ReportResponse>(
            std::move(origin), Recorded::kOnChange,
            [request, host](const State& state, const DecisionContext& context) {
              return state.Decide(request, host, context);
            },
            std::move(reply));
      });
  dispatcher_.Streaming<v1::WatchHostRequest, watch::v1::WatchResponse>(
      [this](const rpc::Call& call, const v1::WatchHostRequest& request,
             std::shared_ptr<rpc::Stream> stream) {
        executor_->Post([this, host = call.caller.machine->name(), request, stream] {
          // Before the imports have synced, what a host should run may be out of date.
          if (absl::Status synced = importer_.Synced(); !synced.ok()) return stream->End(synced);
          rpc::ServeWatch(&state_.writer(), HostTopic(host), request, stream);
        });
      });
  dispatcher_.Unary<v1::ReportEdgeRequest, v1::ReportEdgeResponse>(
      [this](const rpc::Call& call, const v1::ReportEdgeRequest& request, auto reply) {
        executor_->Post([this, edge = call.caller.machine->name(), request, reply] {
          edges_heard_[edge] = clock_->Monotonic();
          const absl::StatusOr<bool> own = state_.writer().IsOwnRevision(request.applied());
          if (!own.ok()) return reply(own.status());
          // A revision of another history says nothing about this one.
          if (!*own) {
            edge_reports_.erase(edge);
            return reply(v1::ReportEdgeResponse());
          }
          edge_reports_[edge] = request;
          MarkFences([reply](absl::StatusOr<v1::ReportResponse> marked) {
            if (!marked.ok()) return reply(marked.status());
            reply(v1::ReportEdgeResponse());
          });
        });
      });
  dispatcher_.Streaming<v1::WatchEndpointsRequest, watch::v1::WatchResponse>(
      [this](const rpc::Call&, const v1::WatchEndpointsRequest& request,
             std::shared_ptr<rpc::Stream> stream) {
        // Not held back until the imports have synced: the edge-router's own watch, which is one of
        // them, would wait for this one.
        rpc::ServeWatch(&state_.writer(), State::kEndpointsTopic, request, std::move(stream));
      });
  dispatcher_.Streaming<v1::RelayUp, v1::RelayDown>(
      [this](const rpc::Call& call, const v1::RelayUp&, std::shared_ptr<rpc::Stream> stream) {
        relay_.Connect(call.caller.machine->name(), std::move(stream));
      });
  dispatcher_.Streaming<v1::WatchEnvironmentRequest, watch::v1::WatchResponse>(
      [this](const rpc::Call&, const v1::WatchEnvironmentRequest& request,
             std::shared_ptr<rpc::Stream> stream) {
        executor_->Post([this, request, stream] {
          if (absl::Status synced = importer_.Synced(); !synced.ok()) return stream->End(synced);
          rpc::ServeWatch(&state_.writer(), EnvironmentTopic(request.environment()), request,
                          stream);
        });
      });
  dispatcher_.Query<v1::GetEnvironmentStatusRequest, v1::GetEnvironmentStatusResponse>(
      [this](const State& state, const v1::GetEnvironmentStatusRequest& request) {
        auto status = state.StatusOf(request.environment());
        if (status.ok()) ShowMissed(state, edge_reports_, &*status);
        return status;
      },
      [](const State& state, const v1::GetEnvironmentStatusRequest& request) {
        return state.StatusOf(request.environment());
      });
  dispatcher_.Command<v1::RestartRequest, v1::RestartResponse>();
  dispatcher_.Streaming<v1::ExecRequest, v1::ExecResponse>(
      [this](const rpc::Call& call, const v1::ExecRequest& request,
             std::shared_ptr<rpc::Stream> stream) {
        CommandOrigin origin = call.origin;
        origin.request_id.clear();  // Each call runs the command, and each is recorded.
        state_.Execute<v1::ExecGrant>(
            std::move(origin), Recorded::kAlways,
            [request](const State& state, const DecisionContext& context) {
              return state.Decide(request, context);
            },
            [this, request, stream](absl::StatusOr<v1::ExecGrant> grant) {
              if (!grant.ok()) return stream->End(grant.status());
              // No member yet, it has heard from nobody.
              if (grant_key_ == nullptr) return stream->End(importer_.Synced());
              execs_.Begin(*grant, *grant_key_, request, stream);
            });
      });
  dispatcher_.Unary<v1::ExecInputRequest, v1::ExecInputResponse>(
      [this](const rpc::Call& call, const v1::ExecInputRequest& request, auto reply) {
        execs_.Input(call.origin.principal, request, reply);
      });
  dispatcher_.Unary<v1::WhyRequest, v1::WhyResponse>(
      [this](const rpc::Call&, const v1::WhyRequest& request, auto reply) {
        executor_->Post([this, request, reply] {
          state_.Read<v1::WhyResponse>(
              [request, heard = HeardNow(),
               now = clock_->Now()](const State& state) -> absl::StatusOr<v1::WhyResponse> {
                const auto environment = state.environments().find(ToString(request.environment()));
                // Says what there is not.
                if (environment == state.environments().end()) {
                  return state.StatusOf(request.environment()).status();
                }
                return Explain(state, environment->second, request.target(), heard, now);
              },
              reply);
        });
      });
  dispatcher_.Query<v1::ListHostsRequest, v1::ListHostsResponse>(
      [this](const State& state, const v1::ListHostsRequest& request) {
        v1::ListHostsResponse response = state.HostsOf(request.org());
        ShowMissed(state, edge_reports_, &response);
        return response;
      });
  dispatcher_.Unary<v1::ListEdgesRequest, v1::ListEdgesResponse>(
      [this](const rpc::Call&, const v1::ListEdgesRequest& request, auto reply) {
        state_.Read<v1::ListEdgesResponse>(
            [this,
             org = request.org()](const State& state) -> absl::StatusOr<v1::ListEdgesResponse> {
              v1::ListEdgesResponse response = state.EdgesOf(org, edge_reports_);
              for (v1::Edge& edge : *response.mutable_edges()) {
                edge.set_presence(PresenceOfEdge(edge.name()));
              }
              return response;
            },
            std::move(reply));
      });
  dispatcher_.Command<v1::LabelHostRequest, v1::LabelHostResponse>();
  dispatcher_.Command<v1::ExcludeEdgeRequest, v1::ExcludeEdgeResponse>();
  dispatcher_.Command<v1::IncludeEdgeRequest, v1::IncludeEdgeResponse>();
  dispatcher_.Streaming<v1::LogsRequest, v1::LogsResponse>(
      [this](const rpc::Call&, const v1::LogsRequest& request,
             std::shared_ptr<rpc::Stream> stream) {
        state_.Read<v1::GetEnvironmentStatusResponse>(
            [name = request.environment()](const State& state) { return state.StatusOf(name); },
            [this, request, stream](absl::StatusOr<v1::GetEnvironmentStatusResponse> status) {
              if (!status.ok()) return stream->End(status.status());
              // Of one instance there is an end; others come to take the place of what ends.
              const bool others_come = request.follow() && request.instance().empty();
              auto conversation = std::make_shared<LogsConversation>(
                  &relay_, stream,
                  others_come ? LogsConversation::End::kWhenTheClientGoes
                              : LogsConversation::End::kWithTheLast);
              int matching = 0;
              for (const v1::Instance& instance : status->instances()) {
                if (!Matches(request, instance.id(), instance.process_type())) continue;
                ++matching;
                if (others_come && !HasStarted(instance.observed())) continue;
                v1::OpenLogs open;
                open.set_instance(instance.id());
                open.set_tail(request.tail());
                open.set_follow(request.follow());
                LogsConversation::Add(conversation, instance.host(), open,
                                      instance.observed().attempt());
              }
              if (matching == 0) {
                return stream->End(
                    absl::NotFoundError("no instance matches; see what runs with: berth status"));
              }
              stream->Begin(conversation);
              if (others_come) logs_followers_.push_back({request, conversation});
              conversation->AllAdded();
            });
      });
}

}  // namespace berth::scheduler
