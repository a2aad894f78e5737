#include "common/rpc/leader_channel.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/status/error_details.h"
#include "common/sync/notification.h"

namespace berth::rpc {

// A stream, as it was seen by whoever wants to know whether its process is still there. Its owner's
// callbacks are called under the mutex: one at a time, and none once the owner has dropped it.
struct LeaderChannel::Seen {
  std::string address;
  Mutex mutex;
  absl::Duration last ABSL_GUARDED_BY(mutex);  // When it began, or brought something.
  bool over ABSL_GUARDED_BY(mutex) = false;    // It ended, or was dropped.
  std::function<absl::Status(const std::string&)> received;
  std::function<void(absl::Status)> ended;

  // Does nothing where it was over before.
  void End(absl::Status status) {
    MutexLock lock(&mutex);
    if (!std::exchange(over, true)) ended(std::move(status));
  }
};

// What its owner has of it.
class LeaderChannel::Stream : public ClientStream {
 public:
  Stream(std::shared_ptr<LeaderChannel> channel, Place asked, std::shared_ptr<Seen> seen,
         std::unique_ptr<ClientStream> stream)
      : channel_(std::move(channel)),
        asked_(std::move(asked)),
        seen_(std::move(seen)),
        stream_(std::move(stream)) {}

  ~Stream() override {
    bool silent = false;
    {
      MutexLock lock(&seen_->mutex);
      silent = !seen_->over && channel_->with_.clock->Monotonic() - seen_->last >= kSilenceMax;
    }
    if (silent) channel_->FellSilent(asked_);
    stream_.reset();  // Its owner is told that it was cancelled.
    MutexLock lock(&seen_->mutex);
    seen_->over = true;
  }

  void Send(const std::string& bytes) override { stream_->Send(bytes); }

 private:
  const std::shared_ptr<LeaderChannel> channel_;
  const Place asked_;
  const std::shared_ptr<Seen> seen_;
  std::unique_ptr<ClientStream> stream_;
};

LeaderChannel::LeaderChannel(std::vector<std::string> addresses, Dependencies with)
    : addresses_(std::move(addresses)), with_(std::move(with)) {
  BERTH_CHECK(!addresses_.empty());
  MutexLock lock(&mutex_);
  current_ = addresses_.front();
  // A connection is made when it is first needed, but the channel is there from now on.
  channels_[current_] = with_.open(current_);
}

absl::StatusOr<std::string> LeaderChannel::CallBytes(const Method& method,
                                                     const std::string& request,
                                                     const CallOptions& options) {
  // Shared: the thread that notifies may be the last to let go.
  struct Waiting {
    Notification done;
    absl::StatusOr<std::string> answer;
  };
  const auto waiting = std::make_shared<Waiting>();
  CallBytesAsync(method, request, options, [waiting](absl::StatusOr<std::string> answer) {
    waiting->answer = std::move(answer);
    waiting->done.Notify();
  });
  waiting->done.WaitForNotification();
  return std::move(waiting->answer);
}

void LeaderChannel::CallBytesAsync(const Method& method, const std::string& request,
                                   const CallOptions& options,
                                   std::function<void(absl::StatusOr<std::string>)> done) {
  auto call = std::make_shared<UnaryCall>(UnaryCall{&method, request, options, std::move(done)});
  // One id for all attempts, so that the command is carried out once.
  if (call->options.request_id.empty()) {
    call->options.request_id = absl::BytesToHexString(with_.ids->NewNonce());
  }
  call->ends = with_.clock->Monotonic() + options.deadline;
  Attempt(call);
}

void LeaderChannel::Attempt(const std::shared_ptr<UnaryCall>& call) {
  ++call->attempts;
  const Place asked = Current();
  CallOptions options = call->options;
  options.deadline = call->ends - with_.clock->Monotonic();
  if (!asked.only_one) options.deadline = std::min(options.deadline, kAttemptMax);
  asked.channel->CallBytesAsync(
      *call->method, call->request, options,
      [self = shared_from_this(), call, asked](absl::StatusOr<std::string> answer) {
        self->Answered(call, asked, std::move(answer));
      });
}

void LeaderChannel::Answered(const std::shared_ptr<UnaryCall>& call, const Place& asked,
                             absl::StatusOr<std::string> answer) {
  // Nobody here cancels such a call: its server ended before it had an answer.
  if (absl::IsCancelled(answer.status()) && ReasonOf(answer.status()).empty()) {
    answer = absl::UnavailableError("the server ended before it answered");
  }
  const Learnt learnt = Learn(asked, answer.status());
  // A service said that itself, so that it leads.
  if (learnt == Learnt::kNothing && (answer.ok() || !ReasonOf(answer.status()).empty())) {
    EndStreamsElsewhere(asked);
  }
  call->unreached = learnt == Learnt::kUnreached ? call->unreached + 1 : 0;
  // Where nobody at all answers there is no leader to wait for.
  const bool all_gone = call->unreached > static_cast<int>(addresses_.size());
  const absl::Duration delay = DelayBefore(*call, learnt);
  if (learnt == Learnt::kNothing || all_gone || call->attempts >= kAttemptsMax ||
      with_.clock->Monotonic() + delay >= call->ends) {
    return call->done(std::move(answer));
  }
  if (delay == absl::ZeroDuration()) return Attempt(call);
  with_.run_after(delay, [self = shared_from_this(), call] { self->Attempt(call); });
}

absl::Duration LeaderChannel::DelayBefore(const UnaryCall& call, Learnt learnt) const {
  // Once round the addresses, and to where the first of them leads, takes no waiting.
  const int round = static_cast<int>(addresses_.size()) + 1;
  if (learnt != Learnt::kNobody && call.attempts < round) return absl::ZeroDuration();
  const int doublings = std::clamp(call.attempts - round, 0, 10);
  const absl::Duration ceiling = std::min(kRetryDelayMax, kRetryDelayMin * (1 << doublings));
  // Full jitter: everybody who lost the same leader comes back at another time.
  uint32_t random = 0;
  const std::string nonce = with_.ids->NewNonce();
  std::memcpy(&random, nonce.data(), sizeof(random));
  return ceiling * (static_cast<double>(random) / 4294967296.0);
}

std::unique_ptr<ClientStream> LeaderChannel::OpenBytes(
    const Method& method, const std::string& request,
    std::function<absl::Status(const std::string&)> received,
    std::function<void(absl::Status)> ended) {
  const Place asked = Current();
  const auto seen = std::make_shared<Seen>();
  seen->address = asked.address;
  seen->received = std::move(received);
  seen->ended = std::move(ended);
  {
    MutexLock lock(&seen->mutex);
    seen->last = with_.clock->Monotonic();
  }
  {
    MutexLock lock(&mutex_);
    std::erase_if(streams_, [](const auto& each) { return each.expired(); });
    streams_.push_back(seen);
  }
  std::unique_ptr<ClientStream> stream = asked.channel->OpenBytes(
      method, request,
      [clock = with_.clock, seen](const std::string& bytes) {
        MutexLock lock(&seen->mutex);
        if (seen->over) return absl::OkStatus();
        seen->last = clock->Monotonic();
        return seen->received(bytes);
      },
      [self = shared_from_this(), asked, seen](absl::Status status) {
        self->Learn(asked, status);
        seen->End(std::move(status));
      });
  return std::make_unique<Stream>(shared_from_this(), asked, seen, std::move(stream));
}

void LeaderChannel::EndStreamsElsewhere(const Place& leader) {
  std::vector<std::shared_ptr<Seen>> elsewhere;
  {
    MutexLock lock(&mutex_);
    if (current_ != leader.address) return;
    for (const std::weak_ptr<Seen>& each : streams_) {
      const std::shared_ptr<Seen> stream = each.lock();
      if (stream != nullptr && stream->address != current_) elsewhere.push_back(stream);
    }
  }
  for (const auto& stream : elsewhere) {
    stream->End(absl::UnavailableError(
        absl::StrCat(stream->address, " leads no more, ", leader.address, " does")));
  }
}

LeaderChannel::Place LeaderChannel::Current() {
  MutexLock lock(&mutex_);
  std::shared_ptr<Channel>& channel = channels_[current_];
  if (channel == nullptr) channel = with_.open(current_);
  return {current_, channel, addresses_.size() == 1 && current_ == addresses_.front()};
}

LeaderChannel::Learnt LeaderChannel::Learn(const Place& asked, const absl::Status& status) {
  if (status.ok()) return Learnt::kNothing;
  const std::string reason = ReasonOf(status);
  MutexLock lock(&mutex_);
  if (absl::IsUnavailable(status) && reason == reason::kNotLeader) {
    const std::string leader = ReasonMetadataOf(status)["address"];
    const bool known = !leader.empty() && leader != asked.address;
    MoveOnLocked(asked, known ? leader : NextLocked(asked.address));
    return known ? Learnt::kElsewhere : Learnt::kNobody;
  }
  if (asked.only_one) return Learnt::kNothing;
  if (absl::IsUnavailable(status) && reason == reason::kNotReady) {
    MoveOnLocked(asked, NextLocked(asked.address));
    return Learnt::kNobody;
  }
  // What a service says itself has a reason; what the transport says has none.
  if (!reason.empty() || !(absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status))) {
    return Learnt::kNothing;
  }
  // Its next connection is a new one, without the pauses that this one makes between attempts.
  const auto failed = channels_.find(asked.address);
  if (failed != channels_.end() && failed->second == asked.channel) channels_.erase(failed);
  MoveOnLocked(asked, NextLocked(asked.address));
  return Learnt::kUnreached;
}

void LeaderChannel::MoveOnLocked(const Place& from, const std::string& to) {
  // Where another call has moved on already, it knew at least as much.
  if (current_ == from.address) current_ = to;
}

std::string LeaderChannel::NextLocked(const std::string& address) const {
  const auto found = std::find(addresses_.begin(), addresses_.end(), address);
  if (found == addresses_.end() || std::next(found) == addresses_.end()) return addresses_.front();
  return *std::next(found);
}

void LeaderChannel::FellSilent(const Place& asked) {
  Learn(asked, absl::UnavailableError("the stream fell silent"));
}

}  // namespace berth::rpc
