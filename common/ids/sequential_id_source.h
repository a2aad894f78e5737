#pragma once

#include <cstdint>
#include <string>

#include "common/ids/id_source.h"

namespace berth {

// id1, id2, …: for tests and simulations, where the same run must give the same ids.
class SequentialIdSource : public IdSource {
 public:
  std::string NewId() override { return "id" + std::to_string(++last_); }

  std::string NewNonce() override {
    std::string nonce = std::to_string(++last_);
    nonce.resize(16, '.');
    return nonce;
  }

 private:
  uint64_t last_ = 0;
};

}  // namespace berth
