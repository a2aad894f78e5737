#include "integration/harness/serving.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/testing/eventually.h"
#include "integration/harness/http.h"

namespace berth::integration {
namespace {

bool IsReady(const std::vector<Instance>& instances, const std::string& id) {
  return std::any_of(instances.begin(), instances.end(), [&](const Instance& instance) {
    return instance.id == id && instance.ready();
  });
}

}  // namespace

std::string VersionOf(const std::string& page) {
  constexpr char kField[] = "version: ";
  const size_t begin = page.find(kField);
  if (begin == std::string::npos) return "";
  const size_t value = begin + sizeof(kField) - 1;
  return page.substr(value, page.find('\n', value) - value);
}

Serving AskAll(const Workstation& workstation, const std::string& app) {
  Serving serving;
  std::vector<std::pair<Instance, std::string>> silent;
  for (const Instance& instance : workstation.Instances(app)) {
    if (!instance.ready()) continue;
    const Page page = Get(instance.Url());
    if (page.status == 200) {
      ++serving.answering;
      serving.versions.push_back(VersionOf(page.body));
    } else {
      silent.emplace_back(instance, page.error);
    }
  }
  if (silent.empty()) return serving;
  const std::vector<Instance> later = workstation.Instances(app);
  for (const auto& [instance, why] : silent) {
    if (IsReady(later, instance.id)) {
      serving.failures.push_back(absl::StrCat(instance.id, ": ", why));
    } else {
      serving.overtaken = true;
    }
  }
  return serving;
}

std::string WhyNotServing(const Workstation& workstation, const std::string& app, size_t count,
                          const std::string& version) {
  const std::optional<std::vector<Instance>> instances = workstation.TryInstances(app);
  if (!instances) return "berth status fails";
  std::string why;
  if (instances->size() != count) absl::StrAppend(&why, instances->size(), " instances\n");
  for (const Instance& instance : *instances) {
    const Page page = Get(instance.Url());
    if (instance.ready() && VersionOf(page.body) == version) continue;
    absl::StrAppend(&why, instance.id, instance.wanted ? " wanted " : " unwanted ", instance.phase,
                    " at ", instance.Url(), ": ", page.status, " ", page.error, page.body, "\n");
  }
  return why;
}

std::string WhyNeverServing(const Workstation& workstation, const std::string& app, size_t count,
                            const std::string& version, absl::Duration limit) {
  std::string why;
  (void)testing::Eventually(limit, [&] {
    why = WhyNotServing(workstation, app, count, version);
    return why.empty();
  });
  return why;
}

}  // namespace berth::integration
