#pragma once

#include <functional>

#include "absl/status/status.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "common/executor/thread_executor.h"
#include "common/net/unique_fd.h"

namespace berth::cli {

// Reads a descriptor on a thread of its own and sends what it reads piece by piece, each once the
// one before was taken; with it the end, and where it is a terminal each new size.
//
// Made before the process has other threads: SIGWINCH is kept from all of them.
class ExecInput {
 public:
  static constexpr size_t kPieceBytesMax = size_t{32} << 10;

  using Send = std::function<absl::Status(const scheduler::v1::ExecInput&)>;

  // Whose size is told; -1: none.
  explicit ExecInput(int terminal);
  // Returns once a `send` that is under way has: whoever destroys it sees to it that it does.
  ~ExecInput();

  // Begins to read `fd`; -1: only sizes are sent. A failed `send` ends it.
  void Start(int fd, Send send);

 private:
  void Run(int fd, const Send& send) const;

  const int terminal_;
  const UniqueFd stop_;     // Readable once it is to end.
  const UniqueFd resizes_;  // Readable when the terminal has another size.
  ThreadExecutor thread_{"exec-input"};
};

}  // namespace berth::cli
