#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "common/net/unique_fd.h"

namespace berth::edge {

// A pipe that bytes are spliced through.
struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
  size_t capacity = 0;  // Bytes; what the kernel granted of kPipeBytes.
};

// Empty pipes of one loop. A connection takes one only while bytes of it are in flight, so that
// idle connections, which are most, cost no pipe.
class PipePool {
 public:
  // What is asked of the kernel: enough for some socket reads per system call. An unprivileged
  // process that has many gets less.
  static constexpr int kPipeBytes = 256 << 10;
  // Pipes kept for reuse; more are closed when they come back.
  static constexpr size_t kIdlePipesMax = 64;

  // nullopt where no descriptors are left.
  std::optional<Pipe> Take();

  // `pipe` is empty.
  void Return(Pipe pipe);

 private:
  std::vector<Pipe> idle_;
};

}  // namespace berth::edge
