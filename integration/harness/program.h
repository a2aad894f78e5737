#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/net/unique_fd.h"

namespace berth::integration {

// How a program ended and what it printed.
struct Finished {
  int exit_code = 0;  // 128 + n where signal n ended it.
  std::string out;
  std::string err;
};

// A program that was started with this process's environment and no input. It is killed with the
// object if it still runs then. What it starts and leaves behind is not waited for.
class Program {
 public:
  // Throws where it cannot be started.
  explicit Program(const std::vector<std::string>& arguments);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Once; throws, with what it printed, where it does not end within `limit`.
  Finished Wait(absl::Duration limit);

  bool HasEnded() const;
  // What it printed so far, to standard output and to standard error.
  std::string OutSoFar() const;
  std::string ErrSoFar() const;
  pid_t pid() const { return pid_; }

 private:
  int Reap();

  const std::string name_;
  UniqueFd out_;
  UniqueFd err_;
  pid_t pid_ = 0;
  UniqueFd exit_;
};

// Runs a program to its end.
Finished Run(const std::vector<std::string>& arguments, absl::Duration limit = absl::Seconds(60));

// The same, for what a test stands on: throws, with what it printed, unless it ends with 0. Returns
// its standard output.
std::string MustRun(const std::vector<std::string>& arguments,
                    absl::Duration limit = absl::Seconds(60));

}  // namespace berth::integration
