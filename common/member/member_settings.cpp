#include "common/member/member_settings.h"

#include "common/net/socket_address.h"

namespace berth {

void ReadMemberSettings(SettingsReader* reader, MemberSettings* settings) {
  reader->Required("server", &settings->server);
  if (const auto parsed = ParseHostPorts(settings->server);
      !settings->server.empty() && !parsed.ok()) {
    reader->Refuse("server", std::string(parsed.status().message()));
  }
  reader->Optional("ca_file", &settings->ca_file);
  reader->Required("state", &settings->state);
  settings->join_token_file = settings->state + "/join-token";
  reader->Optional("join_token_file", &settings->join_token_file);
  SettingsReader& services = reader->Section("services");
  for (const char* service : rpc::kServicesBesideAuth) {
    std::string address;
    services.Optional(service, &address);
    if (address.empty()) continue;
    if (const auto parsed = ParseHostPorts(address); !parsed.ok()) {
      services.Refuse(service, std::string(parsed.status().message()));
    }
    settings->services[service] = address;
  }
}

}  // namespace berth
