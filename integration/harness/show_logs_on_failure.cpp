// Part of every integration test: the ends of the daemons' logs, where an assertion fails.

#include "integration/harness/platform.h"

#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <catch2/catch.hpp>
#include <utility>

namespace berth::integration {
namespace {

class ShowLogsOnFailure : public Catch::TestEventListenerBase {
 public:
  using Catch::TestEventListenerBase::TestEventListenerBase;

  // Whether it has seen to it in Catch2 2; nothing in version 3.
  using Ended = decltype(std::declval<Catch::TestEventListenerBase&>().assertionEnded(
      std::declval<const Catch::AssertionStats&>()));

  Ended assertionEnded(const Catch::AssertionStats& stats) override {
    if (!stats.assertionResult.isOk() && Platform::Current() != nullptr) {
      Platform::Current()->PrintLogs();
    }
    return Ended(true);
  }
};
CATCH_REGISTER_LISTENER(ShowLogsOnFailure)

}  // namespace
}  // namespace berth::integration
