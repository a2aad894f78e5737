#pragma once

#include <string>

#include "common/rpc/services_channel.h"
#include "common/settings/settings.h"

namespace berth {

// What the settings of a machine that joins say of the platform and of itself.
struct MemberSettings {
  std::string server;              // HOST:PORT of berth-auth, or of its copies with commas.
  std::string ca_file;             // The platform CA, PEM; empty: the one the join token names.
  std::string state;               // The folder everything is kept in.
  std::string join_token_file;     // Needed once, to join.
  rpc::ServiceAddresses services;  // Where services are, if not where auth says.
};

// Takes them out of the reader: server, ca_file, state, join_token_file and the section services.
void ReadMemberSettings(SettingsReader* reader, MemberSettings* settings);

}  // namespace berth
