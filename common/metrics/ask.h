#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "common/sync/notification.h"

namespace berth {

// How long a scrape waits for another thread.
inline constexpr absl::Duration kAskMax = absl::Seconds(1);

// What another thread says: `question` is given the function that takes the answer, at most once.
// nullopt: it did not answer in time; a later answer is dropped. Not for use on that thread.
template <typename Answer>
std::optional<Answer> Ask(const std::function<void(std::function<void(Answer)>)>& question,
                          absl::Duration timeout = kAskMax) {
  struct Answered {
    Notification done;
    std::optional<Answer> answer;
  };
  auto answered = std::make_shared<Answered>();
  question([answered](Answer answer) {
    answered->answer = std::move(answer);
    answered->done.Notify();
  });
  if (!answered->done.WaitForNotificationWithTimeout(timeout)) return std::nullopt;
  return std::move(answered->answer);
}

}  // namespace berth
