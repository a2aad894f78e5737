#include "integration/harness/hello_manifest.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace berth::integration {

std::string HelloManifest::ToYaml() const {
  std::string yaml =
      absl::StrCat("schema: berth/v1\napp: ", app, "\nimage: ", image, "\nprocesses:\n  web:\n");
  std::string process =
      absl::StrCat("ports: {", ports, "}\nresources: {cpu: 50m, memory: 16MiB}\n",
                   "checks: {ready: {http: {port: http, path: /healthz}, interval: 200ms}}\n");
  if (replicas) absl::StrAppend(&process, "replicas: ", *replicas, "\n");
  absl::StrAppend(&process, "env: {HELLO_VERSION: \"", version, "\"}\n", more);
  for (absl::string_view line : absl::StrSplit(process, '\n', absl::SkipEmpty())) {
    absl::StrAppend(&yaml, "    ", line, "\n");
  }
  if (!routes.empty()) absl::StrAppend(&yaml, "routes:\n", routes);
  return yaml;
}

}  // namespace berth::integration
