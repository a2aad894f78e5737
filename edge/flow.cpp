#include "edge/flow.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace berth::edge {

Flow::State Flow::Pump(int source, int sink, FlowBuffers* buffers, size_t* moved) {
  const size_t moved_before = *moved;
  while (true) {
    Step step = Flush(sink, moved);
    if (step == Step::kBlocked) return State::kOpen;
    if (step == Step::kDone) {
      if (source_ended_ || !readable_ || !bulk_) ReturnPipe(buffers);
      if (source_ended_) {
        return shutdown(sink, SHUT_WR) == 0 ? State::kEnded : State::kSinkReset;
      }
      if (!readable_) return State::kOpen;
      if (*moved - moved_before >= kFlowBytesPerTurnMax) return State::kHasMore;
      if (bulk_ && !pipe_.has_value()) pipe_ = buffers->pipes.Take();
      // Without a pipe, for want of descriptors, bulk is copied too.
      step = pipe_.has_value() ? SpliceIn(source) : Copy(source, sink, buffers, moved);
    }
    if (step == Step::kSourceFailed) return State::kSourceReset;
    if (step == Step::kSinkFailed) return State::kSinkReset;
  }
}

Flow::Step Flow::Flush(int sink, size_t* moved) {
  if (!pending_.empty()) {
    size_t sent = 0;
    const Step step = Send(sink, absl::string_view(pending_).substr(pending_sent_), &sent);
    pending_sent_ += sent;
    *moved += sent;
    if (step != Step::kDone) return step;
    std::string().swap(pending_);
    pending_sent_ = 0;
  }
  while (in_pipe_ > 0) {
    if (!writable_) return Step::kBlocked;
    const ssize_t sent = splice(pipe_->read_end.get(), nullptr, sink, nullptr, in_pipe_,
                                SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (sent > 0) {
      in_pipe_ -= static_cast<size_t>(sent);
      *moved += static_cast<size_t>(sent);
    } else if (sent < 0 && errno == EAGAIN) {
      writable_ = false;
    } else {
      return Step::kSinkFailed;
    }
  }
  return Step::kDone;
}

Flow::Step Flow::Send(int sink, absl::string_view bytes, size_t* sent) {
  if (!writable_) return Step::kBlocked;
  const ssize_t size = send(sink, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (size < 0 && errno != EAGAIN) return Step::kSinkFailed;
  if (size > 0) *sent = static_cast<size_t>(size);
  if (*sent == bytes.size()) return Step::kDone;
  writable_ = false;
  return Step::kBlocked;
}

Flow::Step Flow::Copy(int source, int sink, FlowBuffers* buffers, size_t* moved) {
  const ssize_t size = recv(source, buffers->scratch.data(), buffers->scratch.size(), 0);
  if (size < 0) return AfterFailedRead();
  if (size == 0) {
    source_ended_ = true;
    return Step::kDone;
  }
  const absl::string_view bytes(buffers->scratch.data(), static_cast<size_t>(size));
  bulk_ = bytes.size() == buffers->scratch.size();
  // A short read has emptied the socket, and what comes later is a new edge. Only an end that was
  // announced already would not be announced again.
  readable_ = bulk_ || hangs_up_;
  size_t sent = 0;
  const Step step = Send(sink, bytes, &sent);
  *moved += sent;
  if (step == Step::kBlocked) pending_ = std::string(bytes.substr(sent));
  return step == Step::kSinkFailed ? step : Step::kDone;
}

Flow::Step Flow::SpliceIn(int source) {
  const ssize_t size = splice(source, nullptr, pipe_->write_end.get(), nullptr, pipe_->capacity,
                              SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (size < 0) return AfterFailedRead();
  if (size == 0) source_ended_ = true;
  in_pipe_ = static_cast<size_t>(size);
  bulk_ = in_pipe_ >= kCopyBytesMax;
  return Step::kDone;
}

Flow::Step Flow::AfterFailedRead() {
  // The pipe was empty, so it is the socket that has nothing.
  if (errno != EAGAIN) return Step::kSourceFailed;
  readable_ = false;
  return Step::kDone;
}

void Flow::ReturnPipe(FlowBuffers* buffers) {
  if (pipe_.has_value()) buffers->pipes.Return(std::move(*pipe_));
  pipe_.reset();
}

}  // namespace berth::edge
