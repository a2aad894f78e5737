#include "common/eventlog/request_index.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/crypto/hash.h"

namespace berth {
namespace {

// Of those that are old, as many at a time: more than one, so that what gathered in busy hours
// goes away in quieter ones, and few, so that no request waits for it.
constexpr int kForgottenAtOnce = 2;

}  // namespace

uint64_t RequestIndex::KeyOf(const std::string& principal, const std::string& method,
                             const std::string& request_id) const {
  // Neither a principal nor a method holds a NUL, so the parts cannot run into each other.
  const absl::string_view nul("\0", 1);
  const std::string hash =
      KeyedBlake2b128(hash_key_, absl::StrCat(principal, nul, method, nul, request_id));
  uint64_t key = 0;
  std::memcpy(&key, hash.data(), sizeof key);
  return key;
}

bool RequestIndex::IsOld(const Entry& entry, int64_t second_now) {
  // A whole second more than it needs to be, as the entry's was cut.
  return second_now - entry.second > absl::ToInt64Seconds(kKept);
}

std::optional<uint64_t> RequestIndex::Find(const std::string& principal, const std::string& method,
                                           const std::string& request_id) const {
  const auto found = positions_.find(KeyOf(principal, method, request_id));
  if (found == positions_.end()) return std::nullopt;
  return found->second;
}

std::optional<absl::Duration> RequestIndex::FullFor(absl::Time now) const {
  if (by_age_.size() < requests_max_) return std::nullopt;
  const int64_t second_now = absl::ToUnixSeconds(now);
  if (IsOld(by_age_.front(), second_now)) return std::nullopt;
  return absl::Seconds(by_age_.front().second - second_now) + kKept + absl::Seconds(1);
}

void RequestIndex::Remember(const eventlog::v1::Record& record) {
  if (record.request_id().empty()) return;
  const int64_t second = record.time().seconds();
  for (int i = 0; i < kForgottenAtOnce; ++i) {
    if (by_age_.empty() || !IsOld(by_age_.front(), second)) break;
    ForgetOldest();
  }
  Add({KeyOf(record.actor().principal(), record.method(), record.request_id()), record.position(),
       second});
}

void RequestIndex::Add(const Entry& entry) {
  by_age_.push_back(entry);
  positions_[entry.key] = entry.position;
}

void RequestIndex::ForgetOldest() {
  const Entry& oldest = by_age_.front();
  // A newer request may have the key by now.
  const auto found = positions_.find(oldest.key);
  if (found != positions_.end() && found->second == oldest.position) positions_.erase(found);
  by_age_.pop_front();
}

eventlog::v1::RequestIndex RequestIndex::Save() const {
  eventlog::v1::RequestIndex saved;
  const int size = static_cast<int>(by_age_.size());
  saved.mutable_keys()->Reserve(size);
  saved.mutable_position_steps()->Reserve(size);
  saved.mutable_second_steps()->Reserve(size);
  Entry before;
  for (const Entry& entry : by_age_) {
    saved.add_keys(entry.key);
    saved.add_position_steps(entry.position - before.position);
    saved.add_second_steps(entry.second - before.second);
    before = entry;
  }
  return saved;
}

bool RequestIndex::Load(const eventlog::v1::RequestIndex& saved) {
  by_age_.clear();
  positions_.clear();
  if (saved.position_steps_size() != saved.keys_size() ||
      saved.second_steps_size() != saved.keys_size()) {
    return false;
  }
  positions_.reserve(static_cast<size_t>(saved.keys_size()));
  Entry entry;
  for (int i = 0; i < saved.keys_size(); ++i) {
    entry.key = saved.keys(i);
    entry.position += saved.position_steps(i);
    entry.second += saved.second_steps(i);
    Add(entry);
  }
  return true;
}

}  // namespace berth
