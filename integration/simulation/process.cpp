#include "integration/simulation/process.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"

namespace berth::simulation {
namespace {

// When every simulation begins, by the wall.
const absl::Time kEpoch = absl::FromUnixSeconds(1'700'000'000);
// How long a thread may take to get to what was posted to it.
constexpr absl::Duration kWakeMax = absl::Microseconds(80);

}  // namespace

class Life::SimulatedExecutor : public Executor {
 public:
  explicit SimulatedExecutor(Life* life) : life_(life) {}

  void Post(Step step) override {
    if (life_->ended_ || life_->dying_) return;
    World* const world = life_->world_;
    ready_.push_back(std::move(step));
    world->Add(world->now() + world->random().Between(absl::ZeroDuration(), kWakeMax),
               life_->shared_from_this(), &lane_, [this] { RunNext(); });
  }

  void PostAfter(absl::Duration delay, Step step) override {
    if (life_->ended_ || life_->dying_) return;
    World* const world = life_->world_;
    world->Add(world->now() + std::max(delay, absl::ZeroDuration()), life_->shared_from_this(),
               nullptr, [this, step = std::move(step)]() mutable { Post(std::move(step)); });
  }

  void Drop() { std::deque<Step>().swap(ready_); }

 private:
  // As many of these are due as there are steps: each runs the oldest, whoever was due first.
  void RunNext() {
    BERTH_CHECK(!ready_.empty());
    const Step step = std::move(ready_.front());
    ready_.pop_front();
    step();
  }

  Life* const life_;
  Lane lane_;
  std::deque<Step> ready_;
};

class Life::SimulatedClock : public Clock {
 public:
  explicit SimulatedClock(Process* process)
      : process_(process),
        boot_(process->world()->random().Between(absl::Minutes(1), absl::Hours(1000))) {}

  absl::Time Now() const override { return kEpoch + process_->OwnTime() + process_->clock_jump_; }
  absl::Duration Monotonic() const override { return boot_ + process_->OwnTime(); }

 private:
  Process* const process_;
  const absl::Duration boot_;
};

class Life::SeededIds : public IdSource {
 public:
  explicit SeededIds(Random random) : random_(random) {}

  std::string NewId() override {
    constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    constexpr size_t kLength = 10;
    std::string id;
    while (id.size() < kLength) id.push_back(kAlphabet[random_.Below(sizeof(kAlphabet) - 1)]);
    return id;
  }

  std::string NewNonce() override {
    constexpr size_t kBytes = 16;
    std::string nonce;
    while (nonce.size() < kBytes) nonce.push_back(static_cast<char>(random_.Below(256)));
    return nonce;
  }

 private:
  Random random_;
};

Life::Life(World* world, Process* process)
    : world_(world),
      process_(process),
      clock_(std::make_unique<SimulatedClock>(process)),
      ids_(std::make_unique<SeededIds>(world->random().Fork())) {}

Life::~Life() = default;

const std::string& Life::name() const { return process_->name(); }

Executor* Life::NewExecutor() {
  return executors_.emplace_back(std::make_unique<SimulatedExecutor>(this)).get();
}

void Life::Kill() {
  if (ended_ || dying_) return;
  dying_ = true;
  stopped_ = false;
  world_->trace().Say(world_->now(), name(), "killed");
  if (depth_ == 0) process_->Bury();
}

void Life::EndStep() {
  if (--depth_ == 0 && dying_ && !ended_) process_->Bury();
}

void Life::Aborted(const std::string& why) {
  if (!abort_expected_) {
    world_->Fail(absl::StrCat(name(), " ended itself: ", why));
    return;
  }
  world_->trace().Say(world_->now(), name(), "ended itself, as it should");
  Kill();
}

void Life::Stop(absl::Duration duration) {
  if (ended_ || dying_) return;
  world_->trace().Say(world_->now(), name(),
                      absl::StrCat("stopped for ", absl::FormatDuration(duration)));
  stopped_ = true;
  stopped_until_ = std::max(stopped_until_, world_->now() + duration);
  world_->After(duration, [weak = weak_from_this()] {
    const std::shared_ptr<Life> life = weak.lock();
    if (life == nullptr || life->world_->now() < life->stopped_until_ || !life->stopped_) return;
    life->stopped_ = false;
    life->world_->Release(life.get());
  });
}

Process::Process(World* world, std::string name, Start start)
    : world_(world), name_(std::move(name)), start_(std::move(start)) {}

Process::~Process() {
  if (life_ == nullptr) return;
  life_->dying_ = true;
  Bury();
}

void Process::Begin() {
  if (life_ != nullptr) return;
  ++lives_;
  world_->trace().Say(world_->now(), name_, absl::StrCat("begins life ", lives_));
  const std::shared_ptr<Life> life = std::make_shared<Life>(world_, this);
  life_ = life;
  world_->Add(world_->now(), life, nullptr, [this, life] {
    std::shared_ptr<void> body = start_(life.get());
    life->body_ = std::move(body);
  });
}

void Process::Kill() {
  if (life_ != nullptr) life_->Kill();
}

void Process::Bury() {
  const std::shared_ptr<Life> life = std::move(life_);
  life_ = nullptr;
  life->ended_ = true;
  for (const Listener& listener : listeners_) {
    if (listener.ending != nullptr) listener.ending(life.get());
  }
  world_->Forget(life.get());
  for (const auto& executor : life->executors_) executor->Drop();
  life->body_.reset();
  for (const Listener& listener : listeners_) {
    if (listener.ended != nullptr) listener.ended(life.get());
  }
}

absl::Duration Process::OwnTime() const {
  return world_->now() + world_->now() * static_cast<double>(drift_per_million_) / 1e6;
}

}  // namespace berth::simulation
