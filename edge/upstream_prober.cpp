#include "edge/upstream_prober.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/types/span.h"

namespace berth::edge {

UpstreamProber::UpstreamProber(const ConnectionContext* context, absl::Duration interval)
    : context_(context), interval_(interval), round_timer_([this] {
        EndRound();
        BeginRound();
      }) {
  context_->loop->SetTimer(&round_timer_, interval_);
}

UpstreamProber::~UpstreamProber() { context_->loop->CallOffTimer(&round_timer_); }

void UpstreamProber::BeginRound() {
  context_->loop->SetTimer(&round_timer_, interval_);
  table_ = context_->table;
  const absl::Span<Upstream* const> upstreams = table_->upstreams();
  for (size_t i = 0; i < upstreams.size(); ++i) {
    const size_t place = (next_ + i) % upstreams.size();
    Upstream* const upstream = upstreams[place];
    if (upstream->IsKnownToAnswer() || IsProbed(upstream)) continue;
    if (probes_.size() == kProbesPerRoundMax) {
      next_ = place;
      return;
    }
    Begin(upstream);
  }
}

void UpstreamProber::EndRound() {
  for (const std::unique_ptr<Probe>& probe : probes_) {
    if (probe->socket.valid()) probe->upstream->ConnectFailed(context_->loop->now());
  }
  probes_.clear();
  table_.reset();
}

void UpstreamProber::Begin(Upstream* upstream) {
  sockaddr_storage address;
  const socklen_t address_size = upstream->address().ToSockaddr(&address);
  auto probe = std::make_unique<Probe>();
  probe->context = context_;
  probe->upstream = upstream;
  probe->socket.Reset(
      socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  // For want of descriptors nothing is learnt about the upstream in this round.
  if (!probe->socket.valid()) return;
  if (connect(probe->socket.get(), reinterpret_cast<sockaddr*>(&address), address_size) != 0 &&
      errno != EINPROGRESS) {
    return upstream->ConnectFailed(context_->loop->now());
  }
  if (!context_->loop->Watch(probe->socket.get(), EPOLLOUT | EPOLLET, probe.get()).ok()) return;
  probes_.push_back(std::move(probe));
}

void UpstreamProber::Probe::OnReady(uint32_t) {
  int error = 0;
  socklen_t error_size = sizeof(error);
  if (getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &error_size) != 0) error = errno;
  socket.Reset();
  if (error == 0) {
    upstream->ConnectSucceeded();
  } else {
    upstream->ConnectFailed(context->loop->now());
  }
}

bool UpstreamProber::IsProbed(const Upstream* upstream) const {
  return std::any_of(probes_.begin(), probes_.end(),
                     [upstream](const auto& probe) { return probe->upstream == upstream; });
}

}  // namespace berth::edge
