#include "common/eventlog/memory_event_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/eventlog/read_limit.h"
#include "common/status/status_macros.h"
#include "common/sync/mutex.h"

namespace berth {

void MemoryDatabase::FailNextAppend(AppendFailure failure) {
  MutexLock lock(&mutex_);
  append_failures_.push_back(failure);
}

void MemoryDatabase::LoseRecordsAfter(const std::string& stream, uint64_t position) {
  MutexLock lock(&mutex_);
  Stream& lost = streams_[stream];
  BERTH_CHECK(position >= lost.erased);
  lost.records.resize(position - lost.erased);
}

void MemoryDatabase::Disconnect() {
  MutexLock lock(&mutex_);
  connected_ = false;
}

void MemoryDatabase::Reconnect() {
  MutexLock lock(&mutex_);
  connected_ = true;
}

absl::Status MemoryDatabase::Reached() const {
  if (connected_) return absl::OkStatus();
  return absl::UnavailableError("the database cannot be reached");
}

MemoryEventLog::MemoryEventLog(std::shared_ptr<MemoryDatabase> database, std::string stream)
    : database_(std::move(database)), stream_(std::move(stream)) {}

MemoryEventLog::~MemoryEventLog() {
  if (!token_.has_value()) return;
  MutexLock lock(&database_->mutex_);
  MemoryDatabase::Stream& stream = database_->streams_[stream_];
  // Cut off, a process cannot give its lease back: it runs to its end.
  if (database_->connected_ && stream.token == *token_) {
    stream.lease_ends = -absl::InfiniteDuration();
  }
}

absl::Status MemoryEventLog::TakeLease(const LeaseHolder& holder, absl::Duration duration) {
  MutexLock lock(&database_->mutex_);
  BERTH_RETURN_IF_ERROR(database_->Reached());
  MemoryDatabase::Stream& stream = database_->streams_[stream_];
  if (token_.has_value() && *token_ != stream.token) {
    token_.reset();
    return absl::AbortedError(
        absl::StrCat("the lease of stream ", stream_, " was lost to ", stream.holder.name));
  }
  const absl::Duration now = database_->clock_->Monotonic();
  if (!token_.has_value()) {
    if (now < stream.lease_ends) {
      return LeaseHeldBy(stream_, stream.holder);
    }
    token_ = ++stream.token;
  }
  stream.holder = holder;
  stream.lease_ends = now + duration;
  return absl::OkStatus();
}

absl::Status MemoryEventLog::HoldsLease(const MemoryDatabase::Stream& stream) const {
  if (token_.has_value() && *token_ == stream.token &&
      database_->clock_->Monotonic() < stream.lease_ends) {
    return absl::OkStatus();
  }
  return absl::AbortedError(absl::StrCat("the lease of stream ", stream_, " is not held"));
}

absl::Status MemoryEventLog::Append(uint64_t after, absl::Span<const StoredRecord> records,
                                    absl::Span<const RowChange> rows) {
  using Failure = MemoryDatabase::AppendFailure;
  MutexLock lock(&database_->mutex_);
  BERTH_RETURN_IF_ERROR(database_->Reached());
  MemoryDatabase::Stream& stream = database_->streams_[stream_];
  BERTH_RETURN_IF_ERROR(HoldsLease(stream));
  if (after != stream.newest()) {
    return absl::AbortedError(
        absl::StrCat("stream ", stream_, " is at position ", stream.newest(), ", not ", after));
  }
  std::optional<Failure> failure;
  if (!database_->append_failures_.empty()) {
    failure = database_->append_failures_.front();
    database_->append_failures_.pop_front();
  }
  if (failure == Failure::kDiskFull) {
    return absl::ResourceExhaustedError("the database's disk is full");
  }
  if (failure == Failure::kLostBeforeStored) {
    return absl::UnavailableError("the connection to the database was lost");
  }
  for (const StoredRecord& record : records) {
    BERTH_CHECK(record.position == stream.newest() + 1);
    stream.records.push_back(record);
  }
  for (const RowChange& row : rows) {
    if (row.value.has_value()) {
      stream.rows[row.key] = *row.value;
    } else {
      stream.rows.erase(row.key);
    }
  }
  if (failure == Failure::kLostAfterStored) {
    return absl::UnavailableError("the connection to the database was lost");
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> MemoryEventLog::EraseThrough(uint64_t through, size_t count_max) {
  MutexLock lock(&database_->mutex_);
  BERTH_RETURN_IF_ERROR(database_->Reached());
  MemoryDatabase::Stream& stream = database_->streams_[stream_];
  BERTH_RETURN_IF_ERROR(HoldsLease(stream));
  if (stream.records.empty()) return false;
  const uint64_t last = std::min(through, stream.newest() - 1);
  if (last <= stream.erased) return false;
  const uint64_t erased = std::min<uint64_t>(last - stream.erased, count_max);
  stream.records.erase(stream.records.begin(),
                       stream.records.begin() + static_cast<ptrdiff_t>(erased));
  stream.erased += erased;
  return stream.erased < last;
}

void MemoryEventLog::BeginAfter(uint64_t position) {
  MutexLock lock(&database_->mutex_);
  MemoryDatabase::Stream& stream = database_->streams_[stream_];
  if (stream.records.empty()) stream.erased = position;
}

absl::StatusOr<std::vector<StoredRecord>> MemoryEventLog::Read(uint64_t after, size_t count_max) {
  MutexLock lock(&database_->mutex_);
  BERTH_RETURN_IF_ERROR(database_->Reached());
  const MemoryDatabase::Stream& stream = database_->streams_[stream_];
  const std::vector<StoredRecord>& stored = stream.records;
  std::vector<StoredRecord> records;
  if (count_max == 0 || after >= stream.newest()) return records;
  if (after < stream.erased) {
    return absl::DataLossError(absl::StrCat("database: stream ", stream_, ", position ", after + 1,
                                            " is missing; restore a backup"));
  }
  size_t bytes = 0;
  for (size_t i = after - stream.erased;
       i < stored.size() && records.size() < count_max && bytes < kReadBytesMax; ++i) {
    bytes += stored[i].bytes.size();
    records.push_back(stored[i]);
  }
  return records;
}

absl::StatusOr<LogReader::Rows> MemoryEventLog::ReadRows() {
  MutexLock lock(&database_->mutex_);
  BERTH_RETURN_IF_ERROR(database_->Reached());
  const MemoryDatabase::Stream& stream = database_->streams_[stream_];
  return Rows{stream.newest(), {stream.rows.begin(), stream.rows.end()}};
}

absl::StatusOr<std::optional<std::string>> MemoryEventLog::GetRow(absl::string_view key) {
  MutexLock lock(&database_->mutex_);
  BERTH_RETURN_IF_ERROR(database_->Reached());
  const std::map<std::string, std::string>& rows = database_->streams_[stream_].rows;
  const auto row = rows.find(std::string(key));
  if (row == rows.end()) return std::optional<std::string>();
  return std::optional<std::string>(row->second);
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> MemoryEventLog::ListRows(
    absl::string_view prefix) {
  MutexLock lock(&database_->mutex_);
  BERTH_RETURN_IF_ERROR(database_->Reached());
  const std::map<std::string, std::string>& rows = database_->streams_[stream_].rows;
  std::vector<std::pair<std::string, std::string>> found;
  for (auto row = rows.lower_bound(std::string(prefix));
       row != rows.end() && absl::StartsWith(row->first, prefix); ++row) {
    found.push_back(*row);
  }
  return found;
}

}  // namespace berth
