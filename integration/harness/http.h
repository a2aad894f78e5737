#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"

namespace berth::integration {

// What came back for a page.
struct Page {
  long status = 0;  // 0: nothing did.
  std::string body;
  std::string error;  // Why nothing did.
};

// Asks once, on a connection of its own.
Page Get(const std::string& url, absl::Duration limit = absl::Seconds(2));

// Asks every millisecond, for a tenth of a second each, until a 200 comes, and tells how long that
// took; nullopt: `limit` passed.
std::optional<absl::Duration> TimeToAnswer(const std::string& url, absl::Duration limit);

}  // namespace berth::integration
