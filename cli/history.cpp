#include "cli/history.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/record_text.h"
#include "cli/streams.h"
#include "common/status/status_macros.h"
#include "common/time/timestamp.h"

namespace berth::cli {
namespace {

using eventlog::v1::ListRecordsRequest;
using eventlog::v1::ListRecordsResponse;
using eventlog::v1::RecordView;

// Of one call. The server has a limit of its own.
constexpr uint32_t kCallRecordsMax = 1'000;

// Adds the newest records of one log, newest first.
absl::Status ReadStream(const std::string& stream, const HistoryQuery& query, History* history,
                        std::vector<RecordView>* found, Session* session) {
  ListRecordsRequest request;
  request.set_stream(stream);
  request.set_org(query.org);
  *request.mutable_filter() = query.filter;
  if (query.since.has_value()) *request.mutable_since() = ToTimestamp(*query.since);
  while (true) {
    const auto missing = query.count_max - static_cast<uint32_t>(found->size());
    request.set_count_max(std::min(missing, kCallRecordsMax));
    BERTH_ASSIGN_OR_RETURN(const auto response, session->Call<ListRecordsResponse>(request));
    if (request.before() == 0) history->ends[stream] = response.end();
    for (auto record = response.records().rbegin(); record != response.records().rend(); ++record) {
      found->push_back(*record);
    }
    if (response.complete()) {
      const bool to_the_cut = response.begin() <= response.cut_position() + 1;
      if (response.cut_position() > 0 && to_the_cut) history->cut.push_back(stream);
      return absl::OkStatus();
    }
    if (found->size() >= query.count_max) {
      history->more = true;
      return absl::OkStatus();
    }
    request.set_before(response.begin());
  }
}

}  // namespace

absl::StatusOr<History> ReadHistory(const HistoryQuery& query, Session* session) {
  History history;
  if (query.count_max == 0) return history;
  for (const char* stream : kStreams) {
    std::vector<RecordView> found;
    BERTH_RETURN_IF_ERROR(ReadStream(stream, query, &history, &found, session));
    history.records.insert(history.records.end(), found.rbegin(), found.rend());
  }
  std::stable_sort(history.records.begin(), history.records.end(),
                   [](const RecordView& left, const RecordView& right) {
                     return FromTimestamp(left.time()) < FromTimestamp(right.time());
                   });
  if (history.records.size() > query.count_max) {
    history.more = true;
    history.records.erase(history.records.begin(),
                          history.records.end() - static_cast<std::ptrdiff_t>(query.count_max));
  }
  return history;
}

absl::StatusOr<absl::Time> TimeOf(const Moment& moment, const std::string& org, Session* session) {
  if (const absl::Time* time = std::get_if<absl::Time>(&moment)) return *time;
  const auto& id = std::get<eventlog::v1::RecordId>(moment);
  ListRecordsRequest request;
  request.set_stream(id.stream());
  request.set_org(org);
  request.set_before(id.position() + 1);
  request.set_count_max(1);
  BERTH_ASSIGN_OR_RETURN(const auto response, session->Call<ListRecordsResponse>(request));
  if (response.records_size() == 1 && response.records(0).id().position() == id.position()) {
    return FromTimestamp(response.records(0).time());
  }
  return absl::NotFoundError(
      absl::StrCat("there is no record ", RecordName(id), " that you may see; see: berth events"));
}

}  // namespace berth::cli
