#pragma once

#include <optional>
#include <string>

namespace berth::integration {

// A manifest of the hello example.
struct HelloManifest {
  std::string app = "hello";
  // Absent: as many as there were.
  std::optional<int> replicas = 2;
  std::string version = "1";
  std::string image = "localhost/hello";
  std::string ports = "http: 8080";
  // Further lines of the process, none indented.
  std::string more = {};
  // Lines of `routes`, each indented by two.
  std::string routes = {};

  std::string ToYaml() const;
};

}  // namespace berth::integration
