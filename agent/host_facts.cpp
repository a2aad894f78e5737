#include "agent/host_facts.h"

#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/files/atomic_file.h"

namespace berth::agent {
namespace {

constexpr char kBootIdFile[] = "/proc/sys/kernel/random/boot_id";
constexpr size_t kBootIdSizeMax = 64;
constexpr char kLocalPrefix[] = "localhost/";

}  // namespace

scheduler::v1::HostFacts CollectHostFacts(Driver* driver) {
  scheduler::v1::HostFacts facts;
  struct sysinfo system = {};
  sysinfo(&system);
  const uint64_t memory = uint64_t{system.totalram} * system.mem_unit;
  facts.mutable_capacity()->set_memory_bytes(
      memory > kMemoryReservedBytes ? memory - kMemoryReservedBytes : 0);
  facts.mutable_capacity()->set_cpu_milli(
      static_cast<uint32_t>(sysconf(_SC_NPROCESSORS_ONLN) * 1000));
  facts.set_agent_version(BERTH_VERSION);
  if (const auto boot_id = ReadFile(kBootIdFile, kBootIdSizeMax); boot_id.ok()) {
    facts.set_boot_id(std::string(absl::StripAsciiWhitespace(*boot_id)));
  }
  if (const absl::StatusOr<DriverFacts> found = driver->Facts(); found.ok()) {
    facts.set_driver_version(found->version);
    for (const HostProblem& problem : found->problems) {
      facts.add_problems(absl::StrCat(problem.what, "; ", problem.remedy));
    }
  } else {
    facts.add_problems(std::string(found.status().message()));
  }
  std::vector<std::string> digests;
  if (const auto images = driver->LocalImages(); images.ok()) {
    for (const LocalImage& image : *images) {
      const bool local =
          std::any_of(image.names.begin(), image.names.end(),
                      [](const std::string& name) { return absl::StartsWith(name, kLocalPrefix); });
      if (local) digests.push_back(image.digest);
    }
  }
  // In one order, so that the same facts are the same bytes.
  std::sort(digests.begin(), digests.end());
  digests.erase(std::unique(digests.begin(), digests.end()), digests.end());
  if (digests.size() > kLocalImagesMax) digests.resize(kLocalImagesMax);
  *facts.mutable_local_images() = {digests.begin(), digests.end()};
  return facts;
}

}  // namespace berth::agent
