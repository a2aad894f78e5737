#include "integration/simulation/client.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace berth::simulation {
namespace {

constexpr absl::Duration kThinkLeast = absl::Milliseconds(5);
constexpr absl::Duration kRetryLeast = absl::Milliseconds(50);
constexpr absl::Duration kRetryMost = absl::Seconds(2);
constexpr uint64_t kLosesPatiencePerMille = 30;
constexpr uint64_t kRepeatsPerMille = 150;

// Whether the command was carried out, or refused, for good: these codes leave it open.
bool IsSure(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kCancelled:
      return false;
    default:
      return true;
  }
}

}  // namespace

struct Client::Running {
  Life* life;
  Executor* executor;
  std::shared_ptr<rpc::Channel> channel;
};

Client::Client(World* world, Network* network, Options options, std::vector<Operation>* history)
    : world_(world),
      network_(network),
      options_(std::move(options)),
      history_(history),
      random_(world->random().Fork()),
      process_(world, options_.name, [this](Life* life) {
        auto running = std::make_shared<Running>();
        running->life = life;
        running->executor = life->NewExecutor();
        running->channel = network_->Connect(life, options_.credentials, options_.servers);
        Think(running.get());
        return running;
      }) {
  network->Attach(&process_);
}

void Client::Think(Running* running) {
  asking_ = false;
  running->executor->PostAfter(random_.Between(kThinkLeast, options_.think_most),
                               [this, running] { Ask(running); });
}

std::optional<Asked> Client::TakeLast() {
  if (last_.empty()) return std::nullopt;
  Asked asked = std::move(last_.front());
  last_.pop_front();
  return asked;
}

void Client::Ask(Running* running) {
  asked_ = finishing_ ? TakeLast() : options_.next(&random_);
  if (!asked_.has_value()) {
    if (!finishing_) Think(running);
    return;
  }
  asking_ = true;
  repeating_ = false;
  Operation operation;
  operation.principal = options_.principal;
  operation.stream = rpc::ServiceNameOf(*asked_->method, asked_->request);
  operation.method = asked_->method->full_name;
  operation.request = asked_->request;
  if (asked_->command) operation.request_id = running->life->ids()->NewNonce();
  operation.called = world_->now();
  operation_ = history_->size();
  history_->push_back(std::move(operation));
  Try(running);
}

void Client::Try(Running* running) {
  rpc::CallOptions options;
  options.request_id = (*history_)[operation_].request_id;
  running->channel->CallBytesAsync(
      *asked_->method, asked_->request, options,
      [this, running](absl::StatusOr<std::string> outcome) { Tried(running, std::move(outcome)); });
}

void Client::Tried(Running* running, absl::StatusOr<std::string> outcome) {
  if (outcome.ok() && options_.recorded != nullptr) {
    outcome = options_.recorded(*asked_, *outcome);
  }
  Operation& operation = (*history_)[operation_];
  if (!IsSure(outcome.status())) {
    if (!finishing_ && (repeating_ || random_.Chance(kLosesPatiencePerMille))) {
      return Think(running);
    }
    if (repeating_) return Think(running);
    running->executor->PostAfter(random_.Between(kRetryLeast, kRetryMost),
                                 [this, running] { Try(running); });
    return;
  }
  if (repeating_) {
    const bool same = outcome.ok() ? operation.answer.ok() && *outcome == *operation.answer
                                   : outcome.status() == operation.answer.status();
    if (!same) {
      world_->Fail(absl::StrCat(
          operation.method, " of ", operation.principal, " was answered otherwise when repeated: ",
          outcome.status().ToString(), " after ", operation.answer.status().ToString()));
    }
    return Think(running);
  }
  operation.answered = world_->now();
  operation.answer = outcome;
  world_->trace().Say(
      world_->now(), process_.name(),
      absl::StrCat(operation.method, ": ", absl::StatusCodeToString(outcome.status().code())));
  if (options_.answered != nullptr) options_.answered(*asked_, outcome);
  if (operation.IsCommand() && random_.Chance(kRepeatsPerMille)) {
    repeating_ = true;
    return Try(running);
  }
  Think(running);
}

}  // namespace berth::simulation
