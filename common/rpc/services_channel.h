#pragma once

#include <map>
#include <memory>
#include <string>

#include "common/rpc/channel.h"

namespace berth::rpc {

// The services beside auth, by the names that their certificates carry.
inline constexpr const char* kServicesBesideAuth[] = {"config", "edge-router", "scheduler",
                                                      "secrets"};

// HOST:PORT by the service's name.
using ServiceAddresses = std::map<std::string, std::string>;

// One channel to all of Berth's services: each call goes to the service whose method it is.
//
// A service is where `addresses` says, else where auth says, else where auth is: so the address of
// auth alone is enough. Auth is asked when a service cannot be reached where it was thought to be,
// and what it answers holds for the calls that follow; a call that waits is made again at once
// where another address came of it. Safe from any thread.
class ServicesChannel {
 public:
  struct Options {
    ChannelOptions auth;         // Whom it trusts, who it is, and the address of auth.
    ServiceAddresses addresses;  // Of services; auth is not asked about them.
    // Whether a first stream waits for auth's answer, instead of ending where nobody knows it. For
    // whoever has nothing else to do meanwhile; calls that wait need not be told.
    bool streams_wait = false;
    // Keeps auth's answer, so that the services are found after a restart without auth; empty:
    // nowhere.
    std::string file = {};
  };

  static std::shared_ptr<Channel> Open(const Options& options);
};

}  // namespace berth::rpc
