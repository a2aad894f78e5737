#include "edge/proxy_loop.h"

#include <signal.h>

#include <algorithm>
#include <utility>

#include "absl/types/span.h"
#include "common/check/check.h"
#include "common/status/status_macros.h"

namespace berth::edge {

absl::StatusOr<std::unique_ptr<ProxyLoop>> ProxyLoop::Create(const Options& options,
                                                             const Clock* clock,
                                                             UpstreamRegistry* registry) {
  BERTH_RETURN_IF_ERROR(SocketAddress::FromIp(options.listen_ip, 0).status());
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<EventLoop> loop, EventLoop::Create(clock));
  return std::unique_ptr<ProxyLoop>(new ProxyLoop(std::move(loop), options, registry));
}

ProxyLoop::ProxyLoop(std::unique_ptr<EventLoop> loop, const Options& options,
                     UpstreamRegistry* registry)
    : options_(options),
      loop_(std::move(loop)),
      context_{loop_.get(),
               registry,
               &counters_,
               options.timeouts,
               RouteTable::Build({}, registry).value(),
               {},
               [this](Connection* connection) { OnConnectionEnd(connection); }},
      listen_retry_timer_([this] { OpenListeners(); }) {}

ProxyLoop::~ProxyLoop() {
  CloseAll();
  loop_->CallOffTimer(&listen_retry_timer_);
}

void ProxyLoop::Run() {
  // splice(2) to a socket that its peer has closed raises SIGPIPE in this thread, and has no flag
  // against it.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  BERTH_CHECK(pthread_sigmask(SIG_BLOCK, &signals, nullptr) == 0);
  loop_->Run([this] { ended_.clear(); });
}

void ProxyLoop::SetTable(std::shared_ptr<const RouteTable> table) {
  context_.table = std::move(table);
  const absl::Span<const uint16_t> ports = context_.table->ports();
  for (std::unique_ptr<Listener>& listener : std::exchange(adopted_, {})) {
    const uint16_t port = listener->port();
    listener->Resume();
    listeners_.emplace(port, std::move(listener));
  }
  for (auto it = listeners_.begin(); it != listeners_.end();) {
    if (std::binary_search(ports.begin(), ports.end(), it->first)) {
      ++it;
      continue;
    }
    it = listeners_.erase(it);
  }
  listen_retry_ = kListenRetryMin;
  OpenListeners();
}

void ProxyLoop::OpenListeners() {
  if (!accepting_) return;
  std::map<uint16_t, std::string> problems;
  for (const uint16_t port : context_.table->ports()) {
    if (listeners_.contains(port)) continue;
    const SocketAddress address = SocketAddress::FromIp(options_.listen_ip, port).value();
    absl::StatusOr<std::unique_ptr<Listener>> listener = Listener::Open(address, loop_.get(), this);
    if (listener.ok()) {
      listeners_.emplace(port, *std::move(listener));
    } else {
      problems[port] = std::string(listener.status().message());
    }
  }
  loop_->CallOffTimer(&listen_retry_timer_);
  if (!problems.empty()) {
    loop_->SetTimer(&listen_retry_timer_, listen_retry_);
    listen_retry_ = std::min(2 * listen_retry_, kListenRetryMax);
  }
  const MutexLock lock(&problems_mutex_);
  problems_ = std::move(problems);
}

absl::Status ProxyLoop::Adopt(UniqueFd socket) {
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<Listener> listener,
                         Listener::Adopt(std::move(socket), loop_.get(), this));
  adopted_.push_back(std::move(listener));
  return absl::OkStatus();
}

std::vector<UniqueFd> ProxyLoop::DuplicateListeners() const {
  std::vector<UniqueFd> duplicates;
  for (const auto& [port, listener] : listeners_) {
    UniqueFd duplicate = listener->Duplicate();
    if (duplicate.valid()) duplicates.push_back(std::move(duplicate));
  }
  return duplicates;
}

void ProxyLoop::CloseUpstream(absl::string_view id) {
  // Backwards, because one that ends is replaced by the last.
  for (size_t i = connections_.size(); i-- > 0;) connections_[i]->LeaveUpstream(id);
}

void ProxyLoop::StopAccepting() {
  accepting_ = false;
  loop_->CallOffTimer(&listen_retry_timer_);
  for (const auto& [port, listener] : listeners_) listener->AcceptAll();
  listeners_.clear();
  const MutexLock lock(&problems_mutex_);
  problems_.clear();
}

void ProxyLoop::WhenEmpty(std::function<void()> on_empty) {
  on_empty_ = std::move(on_empty);
  if (connections_.empty() && on_empty_) std::exchange(on_empty_, nullptr)();
}

void ProxyLoop::CloseAll() {
  while (!connections_.empty()) {
    counters_.Increment(Count::kClosedAtEnd);
    connections_.back()->End();
  }
}

void ProxyLoop::OnAccepted(UniqueFd client, uint16_t port) {
  counters_.Increment(Count::kAccepted);
  connections_.push_back(std::make_unique<Connection>(&context_, std::move(client), port));
  connections_.back()->place = connections_.size() - 1;
  connections_.back()->Start();
}

bool ProxyLoop::HasRoom() {
  if (connections_.size() < options_.connections_max) return true;
  counters_.Increment(Count::kLimitReached);
  return false;
}

void ProxyLoop::OnConnectionEnd(Connection* connection) {
  const size_t place = connection->place;
  ended_.push_back(std::move(connections_[place]));
  if (place + 1 < connections_.size()) {
    connections_[place] = std::move(connections_.back());
    connections_[place]->place = place;
  }
  connections_.pop_back();
  if (connections_.empty() && on_empty_) std::exchange(on_empty_, nullptr)();
}

std::map<uint16_t, std::string> ProxyLoop::ListenerProblems() const {
  const MutexLock lock(&problems_mutex_);
  return problems_;
}

}  // namespace berth::edge
