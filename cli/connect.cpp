#include "cli/connect.h"

#include "common/rpc/services_channel.h"

namespace berth::cli {

std::shared_ptr<rpc::Channel> Connect(const std::string& server, const std::string& ca_pem,
                                      const std::string& token) {
  rpc::ServicesChannel::Options options;
  options.auth.address = server;
  options.auth.ca_pem = ca_pem;
  options.auth.token = token;
  options.streams_wait = true;
  return rpc::ServicesChannel::Open(options);
}

}  // namespace berth::cli
