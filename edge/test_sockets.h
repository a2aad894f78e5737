#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "common/net/socket_address.h"
#include "common/net/unique_fd.h"

namespace berth::edge::testing {

// Blocking sockets for tests: every call gives up, and throws, after a generous time.

// One end of a TCP connection.
class TestSocket {
 public:
  explicit TestSocket(UniqueFd fd);

  // Connects to `ip`:`port`; throws where that fails.
  static TestSocket ConnectTo(uint16_t port, const std::string& ip = "127.0.0.1");

  // The same for a socket that was made before.
  void Connect(uint16_t port, const std::string& ip = "127.0.0.1");

  void Send(absl::string_view bytes);
  // Sends without minding that the peer is gone.
  void SendIfPossible(absl::string_view bytes);
  // Says that nothing more will be sent.
  void FinishSending();
  // Makes the destructor reset the connection.
  void ResetOnClose();

  // `size` bytes; fewer only where the peer ended before.
  std::string Read(size_t size);
  // Everything until the peer ends; throws where it resets.
  std::string ReadToEnd();
  // Whether the connection ends with a reset rather than an end.
  bool EndsWithReset();

  SocketAddress LocalAddress() const;

 private:
  UniqueFd fd_;
};

// Something that listens on a port of its own.
class TestUpstream {
 public:
  // Binds `ip` on a free port.
  explicit TestUpstream(const std::string& ip = "127.0.0.1", int backlog = 128);

  TestSocket Accept();
  // Whether a connection waits to be accepted.
  bool HasConnection() const;
  // Closes the listening socket: from now on connections are refused. The port stays reserved.
  void StopListening();
  void ListenAgain();

  const SocketAddress& address() const { return address_; }

 private:
  UniqueFd fd_;
  SocketAddress address_;
};

// A free port that nobody else gets while the object lives: it is bound without listening, in the
// way that lets listeners of this process bind it too.
class ReservedPort {
 public:
  ReservedPort();
  uint16_t number() const { return number_; }

 private:
  UniqueFd fd_;
  uint16_t number_ = 0;
};

// Whether `predicate` becomes true within a generous time; it is asked again and again.
bool Eventually(const std::function<bool()>& predicate);

}  // namespace berth::edge::testing
