#include "common/eventlog/checked_records.h"

#include <utility>

#include "common/eventlog/record_chain.h"
#include "common/status/status_macros.h"

namespace berth {

CheckedRecords::CheckedRecords(std::string stream, uint64_t position, std::string hash,
                               size_t chunk, LogReader* log)
    : stream_(std::move(stream)),
      chunk_(chunk),
      log_(log),
      position_(position),
      hash_(std::move(hash)),
      checker_("replay") {}

absl::StatusOr<bool> CheckedRecords::ReadOn() {
  absl::StatusOr<std::vector<StoredRecord>> read = log_->Read(position_, chunk_);
  // What was read before comes first, also where it is wrong.
  BERTH_RETURN_IF_ERROR(TakeChecked());
  BERTH_RETURN_IF_ERROR(read.status());
  if (read->empty()) return false;
  auto piece = std::make_unique<Piece>();
  if (!unused_.empty()) {
    piece = std::move(unused_.back());
    unused_.pop_back();
  }
  piece->stored = *std::move(read);
  const uint64_t after = std::exchange(position_, piece->stored.back().position);
  std::string hash = std::exchange(hash_, piece->stored.back().hash);
  checking_ = std::make_unique<Checking>();
  checking_->piece = std::move(piece);
  checker_.Post([this, checking = checking_.get(), after, hash = std::move(hash)] {
    checking->piece->status = Check(checking->piece.get(), after, hash);
    checking->done.Notify();
  });
  return true;
}

absl::Status CheckedRecords::TakeChecked() {
  if (checking_ == nullptr) return absl::OkStatus();
  checking_->done.WaitForNotification();
  const std::unique_ptr<Checking> checked = std::move(checking_);
  BERTH_RETURN_IF_ERROR(checked->piece->status);
  size_ += checked->piece->stored.size();
  pieces_.push_back(std::move(checked->piece));
  return absl::OkStatus();
}

absl::Status CheckedRecords::Check(Piece* piece, uint64_t position, std::string hash) const {
  if (piece->records.size() < piece->stored.size()) piece->records.resize(piece->stored.size());
  for (size_t i = 0; i < piece->stored.size(); ++i) {
    const StoredRecord& stored = piece->stored[i];
    BERTH_RETURN_IF_ERROR(ReadChained(stream_, position, hash, stored, &piece->records[i]));
    position = stored.position;
    hash = stored.hash;
  }
  return absl::OkStatus();
}

void CheckedRecords::Pop() {
  --size_;
  if (++next_ < pieces_.front()->stored.size()) return;
  next_ = 0;
  unused_.push_back(std::move(pieces_.front()));
  pieces_.pop_front();
}

}  // namespace berth
