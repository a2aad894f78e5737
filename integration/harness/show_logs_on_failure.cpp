// Part of every integration test: the ends of the daemons' logs, where an assertion fails.

#include "integration/harness/platform.h"

#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <catch2/catch.hpp>

namespace berth::integration {
namespace {

class ShowLogsOnFailure : public Catch::TestEventListenerBase {
 public:
  using TestEventListenerBase::TestEventListenerBase;

  bool assertionEnded(const Catch::AssertionStats& stats) override {
    if (!stats.assertionResult.isOk() && Platform::Current() != nullptr) {
      Platform::Current()->PrintLogs();
    }
    return true;
  }
};
CATCH_REGISTER_LISTENER(ShowLogsOnFailure)

}  // namespace
}  // namespace berth::integration
