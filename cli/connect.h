#pragma once

#include <memory>
#include <string>

#include "common/rpc/channel.h"

namespace berth::cli {

// A connection to the services, of which `server` is auth, as the person whose token it is;
// nobody's where that is empty.
std::shared_ptr<rpc::Channel> Connect(const std::string& server, const std::string& ca_pem,
                                      const std::string& token);

}  // namespace berth::cli
