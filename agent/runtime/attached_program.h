#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "agent/runtime/driver.h"
#include "common/net/unique_fd.h"
#include "common/sync/mutex.h"

namespace berth {

// A program of this host whose input and output somebody holds, over pipes or a terminal. See
// ExecStream for its threads.
class AttachedProgram : public ExecStream {
 public:
  // Starts `arguments` as `spec` says, apart from its command; `before_kill` ends what a kill of
  // the program alone would leave. kNotFound: there is no such program.
  static absl::StatusOr<std::unique_ptr<ExecStream>> Start(
      const std::vector<std::string>& arguments, const ExecSpec& spec,
      std::function<void()> before_kill);

  ~AttachedProgram() override;

  std::optional<Piece> Read(size_t bytes_max) override;
  bool Write(absl::string_view data) override;
  void EndInput() override;
  void Resize(TerminalSize size) override;
  int ExitCode() override;
  void Kill() override;

 private:
  AttachedProgram() = default;

  std::optional<Piece> ReadFrom(UniqueFd* fd, LogLine::Source source, size_t bytes_max);
  void Reap();

  std::function<void()> before_kill_;
  UniqueFd killed_;  // Readable once it was killed.
  UniqueFd exit_;    // Readable once it has ended.
  // The terminal's own end is both input and output.
  UniqueFd terminal_;
  UniqueFd output_;
  UniqueFd error_;
  pid_t pid_ = 0;
  std::string error_head_;  // The beginning of what it printed to standard error.

  Mutex mutex_;
  UniqueFd input_ ABSL_GUARDED_BY(mutex_);
  bool reaped_ ABSL_GUARDED_BY(mutex_) = false;
  bool kill_asked_ ABSL_GUARDED_BY(mutex_) = false;
  int wait_status_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace berth
