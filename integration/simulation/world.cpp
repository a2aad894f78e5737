#include "integration/simulation/world.h"

#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "integration/simulation/process.h"

namespace berth::simulation {
namespace {

World* g_world = nullptr;

}  // namespace

World::World(uint64_t seed) : random_(seed) {
  BERTH_CHECK(g_world == nullptr);
  g_world = this;
}

World::~World() {
  // What steps hold may post further ones on its way out.
  while (!due_.empty() || !held_.empty()) {
    std::map<std::pair<absl::Duration, uint64_t>, Event>().swap(due_);
    std::vector<Event>().swap(held_);
  }
  g_world = nullptr;
}

World* World::Current() { return g_world; }

void World::Add(absl::Duration at, std::shared_ptr<Life> life, Lane* lane, Step step) {
  if (life != nullptr && life->ended()) return;
  due_.emplace(std::make_pair(std::max(at, now_), added_++),
               Event{std::move(life), lane, std::move(step)});
}

void World::RunUntil(absl::Duration end) {
  while (RunNext(end)) {
  }
  if (!failure_.has_value()) now_ = std::max(now_, end);
}

bool World::RunNext(absl::Duration end) {
  if (failure_.has_value() || due_.empty() || due_.begin()->first.first > end) return false;
  now_ = due_.begin()->first.first;
  Event event = std::move(due_.begin()->second);
  due_.erase(due_.begin());
  const bool held = (event.lane != nullptr && event.lane->busy) ||
                    (event.life != nullptr && event.life->stopped());
  if (held) {
    held_.push_back(std::move(event));
  } else {
    Run(std::move(event));
  }
  return true;
}

void World::Run(Event event) {
  if (event.life != nullptr && event.life->ended()) return;
  ++steps_;
  trace_.Mix(static_cast<uint64_t>(absl::ToInt64Nanoseconds(now_)));
  if (event.life != nullptr) trace_.Mix(event.life->name());
  const std::shared_ptr<Life> before = std::exchange(running_, event.life);
  Lane* const lane_before = std::exchange(running_lane_, event.lane);
  if (event.life != nullptr) event.life->BeginStep();
  try {
    event.step();
  } catch (const ProcessAborted& aborted) {
    if (event.life == nullptr) {
      Fail(absl::StrCat("a check of the simulator failed: ", aborted.why));
    } else {
      event.life->Aborted(aborted.why);
    }
  }
  // What the step holds goes while it still counts as a step of its life.
  event.step = nullptr;
  running_ = before;
  running_lane_ = lane_before;
  if (event.life != nullptr) event.life->EndStep();
}

void World::Block(absl::Duration duration) {
  if (running_ == nullptr || waits_inside_ >= kWaitsInsideMax) return;
  const std::shared_ptr<Life> life = running_;
  Lane* const lane = running_lane_;
  ++waits_inside_;
  if (lane != nullptr) lane->busy = true;
  const absl::Duration end = now_ + duration;
  while (RunNext(end)) {
  }
  if (!failure_.has_value()) now_ = std::max(now_, end);
  // A process that was stopped meanwhile goes on when it is let go on, and its thread is still in
  // this step then.
  while (!failure_.has_value() && life->stopped() && RunNext(absl::InfiniteDuration())) {
  }
  if (lane != nullptr) {
    lane->busy = false;
    Release(lane);
  }
  --waits_inside_;
}

void World::StopInside(absl::Duration duration) {
  if (running_ == nullptr || waits_inside_ >= kWaitsInsideMax) return;
  running_->Stop(duration);
  Block(duration);
}

void World::Forget(const Life* life) {
  std::vector<Event> dropped;
  for (auto event = due_.begin(); event != due_.end();) {
    if (event->second.life.get() == life) {
      dropped.push_back(std::move(event->second));
      event = due_.erase(event);
    } else {
      ++event;
    }
  }
  std::vector<Event> still_held;
  for (Event& event : held_) {
    (event.life.get() == life ? dropped : still_held).push_back(std::move(event));
  }
  held_ = std::move(still_held);
}

void World::Release(Lane* lane) {
  std::vector<Event> still_held;
  for (Event& event : held_) {
    if (event.lane == lane) {
      due_.emplace(std::make_pair(now_, added_++), std::move(event));
    } else {
      still_held.push_back(std::move(event));
    }
  }
  held_ = std::move(still_held);
}

void World::Release(const Life* life) {
  std::vector<Event> still_held;
  for (Event& event : held_) {
    if (event.life.get() == life) {
      due_.emplace(std::make_pair(now_, added_++), std::move(event));
    } else {
      still_held.push_back(std::move(event));
    }
  }
  held_ = std::move(still_held);
}

void World::Fail(std::string why) {
  if (failure_.has_value()) return;
  trace_.Say(now_, "FAILED", why);
  failure_ = std::move(why);
}

}  // namespace berth::simulation
