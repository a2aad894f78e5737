#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "integration/bench/report.h"

namespace berth::bench {

// Connections to a server, each with a stub on it, made when this returns, and kept to the end of
// the process: one of gRPC's threads may still be leaving a call's last callback. Throws where one
// cannot be made.
std::vector<grpc::GenericStub*> Connect(const std::string& address, const std::string& ca_pem,
                                        const std::string& server_name, int count);

grpc::ByteBuffer ToByteBuffer(const std::string& bytes);
std::string ToString(const grpc::ByteBuffer& buffer);

// A gRPC server that is put under load, Berth's or another's, over TLS.
struct LoadTarget {
  std::string address;      // HOST:PORT.
  std::string ca_pem;       // Whom its certificate is from.
  std::string server_name;  // That its certificate carries.
  std::string method;       // /package.Service/Method.
  std::map<std::string, std::string> metadata;
  // The serialised request number `i`.
  std::function<std::string(uint64_t i)> request;
  // The name of the metadata that carries a key of each call's own; empty: none.
  std::string call_key;
};

struct Load {
  uint64_t calls = 0;
  Samples latency;  // Of a sample of the calls.
};

// Calls the target from so many clients at once, over so many connections, for as long: each client
// makes its next call when it has the answer to the last one. Throws where a call fails.
Load CallFor(const LoadTarget& target, int clients, int connections, absl::Duration time);

// Calls the target so many times a second, whether or not earlier calls have their answer. Throws
// where a call fails.
Load CallAtRate(const LoadTarget& target, double calls_per_second, int connections,
                absl::Duration time);

}  // namespace berth::bench
