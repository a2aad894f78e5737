#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/dispatcher.h"

namespace berth::rpc {

// gRPC over TLS 1.3 for any number of dispatchers on one port, with health and reflection.
//
// A client's certificate is asked for and not verified: TLS proves that the client holds its key,
// and the gate looks that key up. The methods are registered from the descriptors; every call goes
// to its dispatcher as bytes.
class Server {
 public:
  struct Options {
    std::string address;          // HOST:PORT; port 0 picks one.
    std::string certificate_pem;  // Signed by the platform CA.
    std::string private_key_pem;  // Its Ed25519 key: leaves no suite below TLS 1.3.
  };

  static constexpr int kMessageBytesMax = 1 << 20;
  static constexpr int kMetadataBytesMax = 8 << 10;
  static constexpr absl::Duration kShutdownGrace = absl::Milliseconds(500);

  // The dispatchers outlive the server. kInternal: a method lacks its declaration or handler;
  // kUnavailable: the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const Options& options,
                                                       std::vector<Dispatcher*> dispatchers);

  virtual ~Server() = default;

  virtual int port() const = 0;

  // What the health service says of every service here; NOT_SERVING at first.
  virtual void SetServing(bool serving) = 0;
};

// Must run before anything of gRPC: leaves TLS 1.3 as the only version that clients and servers of
// this process speak, and spares gRPC's mutexes the search for deadlocks.
void PrepareGrpc();

}  // namespace berth::rpc
