#pragma once

#include <google/protobuf/message.h>

#include <cstddef>
#include <optional>
#include <string>

#include "berth/eventlog/v1/log.pb.h"
#include "berth/eventlog/v1/record.pb.h"

namespace berth {

// Larger events are shown without what is in them.
inline constexpr size_t kShownEventBytesMax = size_t{64} << 10;

// A record as whoever reads `org` may see it: nothing where neither the request nor an event is
// about that org; otherwise those of its events that are. An empty org sees everything. `event` is
// the service's Event message. Answers, hashes and digests are never shown.
std::optional<eventlog::v1::RecordView> ViewOf(const eventlog::v1::Record& record,
                                               const google::protobuf::Message& event,
                                               const std::string& org);

bool Matches(const eventlog::v1::RecordFilter& filter, const eventlog::v1::RecordView& view);

}  // namespace berth
