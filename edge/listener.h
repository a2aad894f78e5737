#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/net/socket_address.h"
#include "common/net/unique_fd.h"
#include "edge/event_loop.h"
#include "edge/timer_heap.h"

namespace berth::edge {

// A listening socket of one loop. Every loop has its own for each port (SO_REUSEPORT), so that the
// kernel spreads connections over the loops and none of them waits for another.
class Listener final : public EventLoop::Handler {
 public:
  // What becomes of accepted connections. Outlives the listener.
  class Owner {
   public:
    virtual void OnAccepted(UniqueFd client, uint16_t port) = 0;
    // Whether there is room for one more; asked before each accept.
    virtual bool HasRoom() = 0;
    // Accepting has paused for want of descriptors or memory.
    virtual void OnOutOfDescriptors() = 0;

   protected:
    ~Owner() = default;
  };

  // Binds and listens at once. The sockets it accepts do not block, send without delay and keep
  // alive. An error's message is for people: "address in use", "permission denied".
  static absl::StatusOr<std::unique_ptr<Listener>> Open(const SocketAddress& address,
                                                        EventLoop* loop, Owner* owner);
  // Goes on with a socket that Open made, perhaps in another process; accepts nothing before
  // Resume. kInvalidArgument: it is not one.
  static absl::StatusOr<std::unique_ptr<Listener>> Adopt(UniqueFd socket, EventLoop* loop,
                                                         Owner* owner);
  ~Listener();

  uint16_t port() const { return port_; }

  // Another descriptor of the socket. Connections that wait in it are lost only when every
  // descriptor is closed. Invalid where no descriptors are left.
  UniqueFd Duplicate() const;

  void OnReady(uint32_t events) override;

  void Resume();

  // Takes what clients were told is connected already, for a listener about to be closed: closing a
  // socket resets the connections that wait in it.
  void AcceptAll();

 private:
  Listener(UniqueFd socket, uint16_t port, EventLoop* loop, Owner* owner);

  enum class Accepted : uint8_t { kOne, kNone, kPaused };
  Accepted AcceptOne();
  void Pause();

  const UniqueFd socket_;
  const uint16_t port_;
  EventLoop* const loop_;
  Owner* const owner_;
  Timer resume_timer_;
};

}  // namespace berth::edge
