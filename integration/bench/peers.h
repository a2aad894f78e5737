#pragma once

#include <sys/types.h>

#include <string>

#include "integration/bench/rpc_load.h"
#include "integration/bench/watchers.h"
#include "integration/harness/program.h"

namespace berth::bench {

// What a put of the benchmarks carries: keys that come again, and values of this many bytes.
constexpr uint64_t kKeys = 10'000;
constexpr size_t kValueBytes = 256;

std::string KeyOf(uint64_t number);

// bench_keyvalue_server in a folder. The constructor returns when it serves.
class KeyValueServer {
 public:
  explicit KeyValueServer(const std::string& folder);

  LoadTarget Puts() const;
  WatchTarget Watches() const;
  pid_t pid() const { return program_.pid(); }

 private:
  const std::string folder_;
  integration::Program program_;
  int port_ = 0;
};

// One etcd in a folder, with TLS for its clients, and its own defaults besides. It needs etcd's
// ports, so one at a time on a machine (OwnMachine).
class Etcd {
 public:
  explicit Etcd(const std::string& folder);

  LoadTarget Puts() const;
  WatchTarget Watches() const;
  pid_t pid() const { return program_.pid(); }

 private:
  const std::string ca_pem_;
  integration::Program program_;
};

}  // namespace berth::bench
