#include "edge/pipe_pool.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

namespace berth::edge {

std::optional<Pipe> PipePool::Take() {
  if (!idle_.empty()) {
    Pipe pipe = std::move(idle_.back());
    idle_.pop_back();
    return pipe;
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return std::nullopt;
  Pipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1]), 0};
  int capacity = fcntl(pipe.write_end.get(), F_SETPIPE_SZ, kPipeBytes);
  if (capacity < 0) capacity = fcntl(pipe.write_end.get(), F_GETPIPE_SZ);
  if (capacity <= 0) return std::nullopt;
  pipe.capacity = static_cast<size_t>(capacity);
  return pipe;
}

void PipePool::Return(Pipe pipe) {
  if (idle_.size() < kIdlePipesMax) idle_.push_back(std::move(pipe));
}

}  // namespace berth::edge
