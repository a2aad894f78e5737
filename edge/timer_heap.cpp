#include "edge/timer_heap.h"

#include "common/check/check.h"

namespace berth::edge {

Timer::~Timer() { BERTH_CHECK(!IsSet()); }

void TimerHeap::Set(Timer* timer, absl::Duration due) {
  CallOff(timer);
  timer->due_ = due;
  heap_.push_back(timer);
  MoveUp(timer, heap_.size() - 1);
}

void TimerHeap::CallOff(Timer* timer) {
  if (!timer->IsSet()) return;
  const size_t place = std::exchange(timer->place_, Timer::kNowhere);
  Timer* const last = heap_.back();
  heap_.pop_back();
  if (last == timer) return;
  // The last timer fills the gap; it may belong further up or further down.
  if (place > 0 && last->due_ < heap_[(place - 1) / 2]->due_) {
    MoveUp(last, place);
  } else {
    MoveDown(last, place);
  }
}

std::optional<absl::Duration> TimerHeap::NextDue() const {
  if (heap_.empty()) return std::nullopt;
  return heap_.front()->due_;
}

void TimerHeap::RunDue(absl::Duration now) {
  while (!heap_.empty() && heap_.front()->due_ <= now) {
    Timer* const timer = heap_.front();
    CallOff(timer);
    timer->on_due_();
  }
}

void TimerHeap::Place(Timer* timer, size_t place) {
  heap_[place] = timer;
  timer->place_ = place;
}

void TimerHeap::MoveUp(Timer* timer, size_t place) {
  while (place > 0) {
    const size_t parent = (place - 1) / 2;
    if (heap_[parent]->due_ <= timer->due_) break;
    Place(heap_[parent], place);
    place = parent;
  }
  Place(timer, place);
}

void TimerHeap::MoveDown(Timer* timer, size_t place) {
  while (true) {
    size_t child = 2 * place + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1]->due_ < heap_[child]->due_) ++child;
    if (timer->due_ <= heap_[child]->due_) break;
    Place(heap_[child], place);
    place = child;
  }
  Place(timer, place);
}

}  // namespace berth::edge
