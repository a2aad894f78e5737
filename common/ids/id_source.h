#pragma once

#include <string>

namespace berth {

// Where new ids come from. Part of a DecisionContext, so that a decision can be repeated.
class IdSource {
 public:
  virtual ~IdSource() = default;

  // Ten characters of [a-z2-7]: 50 bits, unique enough for a name inside an environment that is
  // also checked against the state before use.
  virtual std::string NewId() = 0;

  // Sixteen bytes that nobody can guess: request ids, one-time values.
  virtual std::string NewNonce() = 0;
};

}  // namespace berth
