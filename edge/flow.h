#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "edge/pipe_pool.h"

namespace berth::edge {

// Bytes taken from a socket in one copying read.
inline constexpr size_t kCopyBytesMax = 32 << 10;

// Bytes one flow moves before the others of its loop have their turn.
inline constexpr size_t kFlowBytesPerTurnMax = 1 << 20;

// What the flows of one loop share.
struct FlowBuffers {
  PipePool pipes;
  std::array<char, kCopyBytesMax> scratch;  // Empty between calls.
};

// One direction of a connection: moves bytes from one socket to another until the source ends.
//
// Short messages are copied through the loop's scratch buffer, two system calls each. A flow that
// fills that buffer is bulk, and is spliced through a pipe without copying until it slackens.
// Memory and pipe are held only while the sink does not take what the source gave.
//
// Both sockets do not block and are watched edge-triggered from before the first Pump, so the flow
// remembers what they were last known to be ready for: at first, to take bytes only.
class Flow {
 public:
  enum class State : uint8_t {
    kOpen,         // Waits for a socket.
    kHasMore,      // Its turn is over, and nothing would make it wait.
    kEnded,        // The source ended, and so the sink was shut down for writing.
    kSourceReset,  // The source failed.
    kSinkReset,    // The sink failed, or does not read any more.
  };

  // Puts `bytes` before what comes from the source. Before the first Pump only.
  void Prepend(std::string bytes) { pending_ = std::move(bytes); }

  void SourceIsReadable() { readable_ = true; }
  // The source has sent its end, or failed: there is something to read until a read says which.
  void SourceHangsUp() { readable_ = hangs_up_ = true; }
  void SinkIsWritable() { writable_ = true; }

  // Whether it waits for the sink to take what it holds.
  bool IsBlocked() const { return !writable_; }

  // Moves what can be moved and adds the bytes that the sink took to `moved`. Once it has returned
  // kEnded or a reset, it is not called again.
  State Pump(int source, int sink, FlowBuffers* buffers, size_t* moved);

 private:
  enum class Step : uint8_t { kDone, kBlocked, kSourceFailed, kSinkFailed };

  Step Flush(int sink, size_t* moved);
  Step Send(int sink, absl::string_view bytes, size_t* sent);
  Step Copy(int source, int sink, FlowBuffers* buffers, size_t* moved);
  Step SpliceIn(int source);
  Step AfterFailedRead();
  void ReturnPipe(FlowBuffers* buffers);

  std::string pending_;  // Taken from the source, not by the sink, from pending_sent_ on.
  size_t pending_sent_ = 0;
  std::optional<Pipe> pipe_;
  size_t in_pipe_ = 0;  // Bytes.
  bool bulk_ = false;
  bool readable_ = false;
  bool writable_ = true;
  bool hangs_up_ = false;
  bool source_ended_ = false;
};

}  // namespace berth::edge
