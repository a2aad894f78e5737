#pragma once

#include <map>
#include <string>

namespace berth::agent {

// What an instance with secrets is started with.
struct GivenSecrets {
  std::string file;  // On this host.
  // The variables that the manifest asks for as such. Out of the guarded memory, and visible to
  // whoever may inspect the instance: Podman's API takes them as text, and a manifest that says
  // `secrets.env` asks for that.
  std::map<std::string, std::string> env;
};

}  // namespace berth::agent
