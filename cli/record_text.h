#pragma once

#include <string>
#include <vector>

#include "berth/eventlog/v1/log.pb.h"
#include "cli/json.h"

namespace berth::cli {

// The headings of RecordCells.
std::vector<std::string> RecordHeadings();

// A record as a row: when, who, what, about what, how it ended, where it is, what led to it.
std::vector<std::string> RecordCells(const eventlog::v1::RecordView& record);

// The same cells in columns of a fixed width, for rows that come one by one. With a line break.
std::string RecordLine(const std::vector<std::string>& cells);

// SERVICE/POSITION.
std::string RecordName(const eventlog::v1::RecordId& id);

// A record for programs, its events with all that they hold.
Json RecordJson(const eventlog::v1::RecordView& record);

}  // namespace berth::cli
