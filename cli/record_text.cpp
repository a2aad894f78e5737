#include "cli/record_text.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "berth/auth/v1/events.pb.h"
#include "berth/config/v1/events.pb.h"
#include "berth/edge_router/v1/events.pb.h"
#include "berth/scheduler/v1/events.pb.h"
#include "berth/secrets/v1/events.pb.h"
#include "cli/wording.h"
#include "common/time/timestamp.h"

namespace berth::cli {
namespace {

using eventlog::v1::EventView;
using eventlog::v1::RecordView;
using google::protobuf::Message;

// Of the columns before the last; longer cells push the rest of their line.
constexpr size_t kWidths[] = {19, 14, 44, 24, 12, 15};

// The Event message of a stream; nullptr for one that this version does not know.
const Message* EventOf(const std::string& stream) {
  static const auto& events = *new std::map<std::string, const Message*>{
      {"auth", &auth::v1::Event::default_instance()},
      {"config", &config::v1::Event::default_instance()},
      {"scheduler", &scheduler::v1::Event::default_instance()},
      {"edge-router", &edge_router::v1::Event::default_instance()},
      {"secrets", &secrets::v1::Event::default_instance()}};
  const auto found = events.find(stream);
  return found == events.end() ? nullptr : found->second;
}

// DeleteEnvironment: delete environment.
std::string MethodText(absl::string_view method) {
  const absl::string_view name = method.substr(method.rfind('.') + 1);
  std::string words;
  for (const char c : name) {
    if (absl::ascii_isupper(c) && !words.empty()) words += ' ';
    words += absl::ascii_tolower(c);
  }
  return words;
}

// The names of the events in words, each once.
std::string EventsText(const RecordView& record) {
  std::vector<std::pair<std::string, int>> counts;
  for (const EventView& event : record.events()) {
    const auto known = std::find_if(counts.begin(), counts.end(),
                                    [&](const auto& each) { return each.first == event.name(); });
    if (known == counts.end()) {
      counts.emplace_back(event.name(), 1);
    } else {
      ++known->second;
    }
  }
  return absl::StrJoin(counts, ", ", [](std::string* text, const auto& each) {
    absl::StrAppend(text, absl::StrReplaceAll(each.first, {{"_", " "}}));
    if (each.second > 1) absl::StrAppend(text, " (", each.second, ")");
  });
}

std::string WhatText(const RecordView& record) {
  const std::string events = EventsText(record);
  return absl::StrCat(MethodText(record.method()), events.empty() ? "" : ": ", events);
}

std::string OutcomeText(const RecordView& record) {
  if (record.code() == 0) return record.events().empty() ? "no change" : "ok";
  return absl::StrCat("refused", record.refusal().empty() ? "" : ": ", record.refusal());
}

std::string TimeText(const RecordView& record) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", FromTimestamp(record.time()), absl::UTCTimeZone());
}

Json EventJson(const std::string& stream, const EventView& view) {
  Json json = {{"name", view.name()}};
  const Message* type = EventOf(stream);
  if (type == nullptr || view.payload().empty()) return json;
  const std::unique_ptr<Message> event(type->New());
  if (!event->ParseFromString(view.payload())) return json;
  // One message with one field, of which only what it holds is of use here.
  const Json whole = ToJson(*event);
  if (!whole.empty()) json["content"] = *whole.begin();
  return json;
}

}  // namespace

std::vector<std::string> RecordHeadings() {
  return {"TIME (UTC)", "ACTOR", "WHAT", "ABOUT", "RECORD", "CAUSE", "OUTCOME"};
}

std::string RecordName(const eventlog::v1::RecordId& id) {
  return absl::StrCat(id.stream(), "/", id.position());
}

std::vector<std::string> RecordCells(const RecordView& record) {
  return {TimeText(record),        record.actor().principal(),
          WhatText(record),        absl::StrJoin(record.resources(), " "),
          RecordName(record.id()), record.has_cause() ? RecordName(record.cause()) : "",
          OutcomeText(record)};
}

std::string RecordLine(const std::vector<std::string>& cells) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string cell = Printable(cells[i]);
    absl::StrAppend(&line, cell);
    if (i + 1 == cells.size()) break;
    line.append(cell.size() < kWidths[i] ? kWidths[i] - cell.size() : 0, ' ');
    line.append(2, ' ');
  }
  return absl::StrCat(line, "\n");
}

Json RecordJson(const RecordView& record) {
  Json json = {
      {"record", RecordName(record.id())},
      {"time",
       absl::FormatTime(absl::RFC3339_full, FromTimestamp(record.time()), absl::UTCTimeZone())},
      {"actor", record.actor().principal()},
      {"address", record.actor().address()},
      {"org", record.org()},
      {"method", record.method()},
      {"what", WhatText(record)},
      {"resources",
       Json(std::vector<std::string>(record.resources().begin(), record.resources().end()))},
      {"outcome", record.code() == 0 ? "ok" : "refused"},
      {"code", record.code()},
      {"refusal", record.refusal()},
      {"cause", record.has_cause() ? RecordName(record.cause()) : ""},
      {"events", Json::array()}};
  for (const EventView& event : record.events()) {
    json["events"].push_back(EventJson(record.id().stream(), event));
  }
  return json;
}

}  // namespace berth::cli
