#pragma once

#include <map>
#include <string>

#include "berth/scheduler/v1/scheduler.pb.h"

namespace berth::cli {

// Writes the lines that instances print. Their bytes stay as they are: an app may colour its own.
class LogPrinter {
 public:
  // As they are; after their instance's name; as documents of the kind LogLine.
  enum class Style { kPlain, kPrefixed, kJson };

  LogPrinter(Style style, bool colour) : style_(style), colour_(colour) {}

  // With the line break.
  std::string Render(const scheduler::v1::LogsResponse& line);

 private:
  // Instances get the colours in turn, each keeps its own.
  std::string Prefix(const std::string& instance);

  const Style style_;
  const bool colour_;
  std::map<std::string, size_t> colours_;
};

}  // namespace berth::cli
