#include "common/rpc/access_view.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "common/crypto/hash.h"
#include "common/sync/mutex.h"

namespace berth::rpc {
namespace {

template <typename Entry>
void SetEntry(absl::flat_hash_map<std::string, Entry>* entries, std::string key,
              const std::optional<std::string>& value) {
  Entry entry;
  if (value.has_value() && entry.ParseFromString(*value)) {
    (*entries)[std::move(key)] = std::move(entry);
  } else {
    entries->erase(key);
  }
}

template <typename Entry>
std::optional<Entry> FindEntry(const absl::flat_hash_map<std::string, Entry>& entries,
                               const std::string& key) {
  const auto found = entries.find(key);
  if (found == entries.end()) return std::nullopt;
  return found->second;
}

}  // namespace

void AccessView::Set(const std::string& key, const std::optional<std::string>& value) {
  MutexLock lock(&mutex_);
  SetLocked(key, value);
}

void AccessView::SetLocked(const std::string& key, const std::optional<std::string>& value) {
  absl::string_view rest = key;
  if (absl::ConsumePrefix(&rest, "principal/")) {
    SetEntry(&principals_, std::string(rest), value);
  } else if (absl::ConsumePrefix(&rest, "token/")) {
    SetEntry(&tokens_, std::string(rest), value);
  } else if (absl::ConsumePrefix(&rest, "machine/")) {
    SetEntry(&machines_, HexDecode(rest).value_or(""), value);
  }
}

void AccessView::Replace(const TopicEntries& entries) {
  MutexLock lock(&mutex_);
  principals_.clear();
  tokens_.clear();
  machines_.clear();
  for (const auto& [key, value] : entries) SetLocked(key, value);
}

void AccessView::Advance(uint64_t position) {
  std::vector<std::function<void()>> call;
  {
    MutexLock lock(&mutex_);
    ready_ = true;
    position_ = position;
    for (auto waiter = waiters_.begin(); waiter != waiters_.end();) {
      if (waiter->second.position <= position_) {
        call.push_back(std::move(waiter->second.reached));
        waiter = waiters_.erase(waiter);
      } else {
        ++waiter;
      }
    }
    call.insert(call.end(), listeners_.begin(), listeners_.end());
  }
  for (const auto& function : call) function();
}

bool AccessView::ready() const {
  MutexLock lock(&mutex_);
  return ready_;
}

uint64_t AccessView::position() const {
  MutexLock lock(&mutex_);
  return position_;
}

std::optional<auth::v1::Principal> AccessView::FindPrincipal(const std::string& name) const {
  MutexLock lock(&mutex_);
  return FindEntry(principals_, name);
}

std::optional<auth::v1::Token> AccessView::FindToken(const std::string& hash) const {
  MutexLock lock(&mutex_);
  return FindEntry(tokens_, hash);
}

std::optional<auth::v1::Machine> AccessView::FindMachine(const std::string& identity_key) const {
  MutexLock lock(&mutex_);
  return FindEntry(machines_, identity_key);
}

std::optional<uint64_t> AccessView::WhenAt(uint64_t position, std::function<void()> reached) {
  uint64_t waiter = 0;
  {
    MutexLock lock(&mutex_);
    waiter = ++waiters_so_far_;
    if (!ready_ || position_ < position) {
      if (waiters_.size() >= kWaitersMax) return std::nullopt;
      waiters_[waiter] = {position, std::move(reached)};
      return waiter;
    }
  }
  reached();
  return waiter;
}

void AccessView::StopWaiting(uint64_t waiter) {
  MutexLock lock(&mutex_);
  waiters_.erase(waiter);
}

void AccessView::OnChange(std::function<void()> changed) {
  MutexLock lock(&mutex_);
  listeners_.push_back(std::move(changed));
}

}  // namespace berth::rpc
