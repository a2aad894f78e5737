#pragma once

#include <map>
#include <optional>
#include <string>

#include "berth/watch/v1/watch.pb.h"

namespace berth {

// What came over another service's watch, as a command to one's own state.
struct Import {
  std::string source;
  watch::v1::Revision revision;
  // The changes are all entries there are: what is missing is gone.
  bool snapshot = false;
  // By key; nullopt: gone.
  std::map<std::string, std::optional<std::string>> changes;

  // Whether the source says that it has no such entry any more.
  bool SaysGone(const std::string& key) const {
    const auto change = changes.find(key);
    return change == changes.end() ? snapshot : !change->second.has_value();
  }
};

}  // namespace berth
