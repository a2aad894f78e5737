#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/crypto/sealed_box.h"
#include "common/crypto/signature.h"
#include "common/rpc/access_view.h"
#include "common/rpc/gate.h"
#include "common/watch/watch_hub.h"

namespace berth::simulation {

// The org that everything belongs to.
inline constexpr char kOrg[] = "home";

// Its hosts, where there are any.
inline constexpr uint64_t kHosts = 3;
std::string HostName(uint64_t number);

// Its edges, as its hosts.
inline constexpr uint64_t kEdges = 2;
std::string EdgeName(uint64_t number);

// Somebody whom a service knows, and how they show it.
struct Identity {
  std::string principal;
  rpc::Credentials credentials;
};

Identity Person(const std::string& name);
Identity ServiceMember(const std::string& name);
Identity HostMember(const std::string& name);
Identity EdgeMember(const std::string& name);

// The key that a machine is known by, and the one that is sealed to.
SigningKey SigningKeyOf(const Identity& machine);
SealingKey SealingKeyOf(const Identity& machine);

// Whom services let in: everybody's name.
struct Members {
  std::vector<std::string> viewers;
  std::vector<std::string> admins;
  std::vector<std::string> services;
  std::vector<std::string> hosts;
  std::vector<std::string> edges;
};

// The hosts and edges among them, as auth's watch of machines shows them.
TopicEntries Machines(const Members& members);

// Tells a life's gate what auth would say. Nobody comes or goes.
void GiveAccess(const Members& members, rpc::AccessView* access);

}  // namespace berth::simulation
