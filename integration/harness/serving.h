#pragma once

#include <string>
#include <vector>

#include "integration/harness/workstation.h"

namespace berth::integration {

// What an app's clients meet at one moment.
struct Serving {
  int answering = 0;
  // Instances that were ready, were asked for their page, did not answer, and had not been told to
  // stop by then: clients lost these requests.
  std::vector<std::string> failures;
  // What `/` says the version is, of each that answered.
  std::vector<std::string> versions;
  // An instance stopped between being looked up and being asked, so the count says nothing.
  bool overtaken = false;
};

// What a page of hello says its version is; empty where it is no page of hello.
std::string VersionOf(const std::string& page);

// Asks every ready instance of the app for its page.
Serving AskAll(const Workstation& workstation, const std::string& app);

// Empty once `count` instances, and no others, are ready and answer as `version`; else what is not
// so. For CHECK(WhyNotServing(…) == "").
std::string WhyNotServing(const Workstation& workstation, const std::string& app, size_t count,
                          const std::string& version);

// The same after at most `limit`.
std::string WhyNeverServing(const Workstation& workstation, const std::string& app, size_t count,
                            const std::string& version, absl::Duration limit = absl::Seconds(60));

}  // namespace berth::integration
