#include "cli/connect.h"

namespace berth::cli {

std::shared_ptr<rpc::Channel> Connect(const std::string& server, const std::string& ca_pem,
                                      const std::string& token) {
  rpc::ChannelOptions options;
  options.address = server;
  options.ca_pem = ca_pem;
  options.token = token;
  return rpc::Channel::Open(options);
}

}  // namespace berth::cli
