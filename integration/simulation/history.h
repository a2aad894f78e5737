#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "berth/watch/v1/watch.pb.h"

namespace berth::simulation {

// What clients saw, for the checkers.

// One command or question of a client, from its first call to its answer: repeats included.
struct Operation {
  std::string principal;
  std::string stream;      // Of the service that was asked: "config".
  std::string method;      // Its full name.
  std::string request_id;  // Commands; empty: a question.
  std::string request;     // As sent.
  absl::Duration called;
  // Nothing: the client never learned how it ended.
  std::optional<absl::Duration> answered;
  absl::StatusOr<std::string> answer = absl::UnknownError("none yet");

  bool IsCommand() const { return !request_id.empty(); }
};

// One message of a watch, or the begin or end of its stream.
struct Watched {
  enum class Kind { kOpened, kMessage };

  Kind kind = Kind::kMessage;
  absl::Duration at;
  std::optional<watch::v1::Revision> resume;  // kOpened: where it went on from.
  watch::v1::WatchResponse message;           // kMessage.
};

// All that one watcher received, of one topic.
struct WatchHistory {
  std::string watcher;
  std::string stream;
  std::string topic;
  uint64_t messages_brought = 0;  // Counted by the network.
  std::vector<Watched> watched;
};

}  // namespace berth::simulation
