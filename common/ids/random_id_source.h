#pragma once

#include "common/ids/id_source.h"

namespace berth {

// Ids from the kernel's random source. Safe to use from any thread.
class RandomIdSource : public IdSource {
 public:
  std::string NewId() override;
  std::string NewNonce() override;
};

}  // namespace berth
