#include "common/eventlog/log_begin.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/crypto/hash.h"
#include "common/eventlog/record_chain.h"
#include "common/eventlog/snapshot_row.h"
#include "common/status/error_details.h"
#include "common/status/status_macros.h"

namespace berth {

using eventlog::v1::LogBegin;

absl::Status RestoreNotFinished(absl::string_view stream) {
  return absl::FailedPreconditionError(
      absl::StrCat("stream ", stream,
                   ": a restore was begun and not finished; drop the tables, or take another "
                   "database, and restore the backup again"));
}

LogBegin WholeLog() {
  LogBegin begin;
  begin.set_record_hash(HashBeforeFirstRecord());
  return begin;
}

absl::StatusOr<LogBegin> LogBeginFromRow(absl::string_view stream,
                                         const std::optional<std::string>& row) {
  if (!row.has_value()) return WholeLog();
  LogBegin begin;
  if (!begin.ParseFromString(*row) || begin.position() == 0) {
    return absl::DataLossError(
        absl::StrCat("stream ", stream,
                     ": the row that says where the log begins cannot be read; restore a "
                     "backup"));
  }
  return begin;
}

absl::StatusOr<LogBegin> ReadLogBegin(absl::string_view stream, LogReader* log) {
  BERTH_ASSIGN_OR_RETURN(const std::optional<std::string> row, log->GetRow(kLogBeginRowKey));
  return LogBeginFromRow(stream, row);
}

absl::Status LoadBase(absl::string_view stream, const LogBegin& begin, LogReader* log,
                      LoggedState* state) {
  state->Reset();
  if (begin.position() == 0) return absl::OkStatus();
  const std::string where =
      absl::StrCat("stream ", stream, ": the base of the log, as of position ", begin.position());
  BERTH_ASSIGN_OR_RETURN(const std::optional<std::string> row, log->GetRow(kBaseRowKey));
  if (!row.has_value() || Blake2b256({*row}) != begin.base_digest()) {
    return absl::DataLossError(
        absl::StrCat(where, row.has_value() ? " is not the one that was put" : " is missing",
                     "; restore a backup"));
  }
  absl::StatusOr<eventlog::v1::Snapshot> base = FromRow(*row);
  if (!base.ok()) return Annotate(base.status(), where);
  if (base->state_version() > state->StateVersion()) {
    return absl::DataLossError(absl::StrCat(
        where, " is a later version's; run the version of Berth that made it or a newer one"));
  }
  return Annotate(state->LoadSaved(base->state()), where);
}

std::optional<LogBegin> CutBy(const eventlog::v1::Record& record) {
  LogBegin begin;
  if (record.method() != kLogCut || record.outcome().code() != 0 ||
      !begin.ParseFromString(record.answer())) {
    return std::nullopt;
  }
  return begin;
}

absl::Status UnlessCutSince(absl::string_view stream, uint64_t cut_position, absl::Status status,
                            LogReader* log) {
  if (!absl::IsDataLoss(status)) return status;
  const absl::StatusOr<LogBegin> begin = ReadLogBegin(stream, log);
  if (!begin.ok() || begin->position() == cut_position) return status;
  return absl::UnavailableError(absl::StrCat("the log of ", stream, " was cut at position ",
                                             begin->position(),
                                             " while it was read from further back; try again"));
}

}  // namespace berth
