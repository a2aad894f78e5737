#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "berth/eventlog/v1/log.pb.h"
#include "cli/moment.h"
#include "cli/session.h"

namespace berth::cli {

// Which records of all services are wanted.
struct HistoryQuery {
  std::string org;  // Empty: of the whole platform.
  std::optional<absl::Time> since;
  eventlog::v1::RecordFilter filter;
  uint32_t count_max = 0;
};

struct History {
  std::vector<eventlog::v1::RecordView> records;  // By time, newest last; those of a log in order.
  bool more = false;                              // There are older ones.
  std::map<std::string, uint64_t> ends;           // Of each log, when it was read.
  // The services whose logs were read back to where they were cut.
  std::vector<std::string> cut;
};

// Reads every service's log, newest first, as far as is wanted.
absl::StatusOr<History> ReadHistory(const HistoryQuery& query, Session* session);

// The time of a moment. kNotFound: there is no such record, or it is not one that the caller may
// see.
absl::StatusOr<absl::Time> TimeOf(const Moment& moment, const std::string& org, Session* session);

}  // namespace berth::cli
