#include "common/watch/watch_hub.h"

#include <algorithm>
#include <utility>

#include "common/check/check.h"
#include "common/sync/mutex.h"

namespace berth {
namespace {

using watch::v1::WatchResponse;

std::shared_ptr<const std::string> Serialise(const WatchResponse& response) {
  return std::make_shared<const std::string>(response.SerializeAsString());
}

}  // namespace

WatchFrame Watcher::Next() {
  BERTH_CHECK(hub_ != nullptr);
  return hub_->NextFor(this);
}

WatchHub::Ring& WatchHub::RingOf(const std::string& topic) {
  auto [entry, added] = rings_.try_emplace(topic);
  if (added) entry->second.complete_after = history_begin_;
  return entry->second;
}

WatchHub::KindNumbers& WatchHub::NumbersOf(const std::string& topic) {
  return numbers_[topic.substr(0, topic.find('/'))];
}

void WatchHub::Reset(uint64_t position) {
  std::vector<std::shared_ptr<Watcher>> cut_off;
  {
    MutexLock lock(&mutex_);
    rings_.clear();
    history_begin_ = position;
    for (auto& [topic, members] : watchers_) {
      for (const std::weak_ptr<Watcher>& member : members) {
        if (std::shared_ptr<Watcher> watcher = member.lock()) {
          watcher->snapshot_.clear();
          watcher->resyncing_ = true;
          ++NumbersOf(topic).resyncs;
          cut_off.push_back(std::move(watcher));
        }
      }
    }
  }
  for (const std::shared_ptr<Watcher>& watcher : cut_off) resync_(watcher);
}

void WatchHub::Publish(const watch::v1::Revision& to, std::vector<TopicChange> changes) {
  std::vector<std::shared_ptr<Watcher>> ready;
  {
    MutexLock lock(&mutex_);
    head_ = to;
    std::stable_sort(changes.begin(), changes.end(),
                     [](const auto& left, const auto& right) { return left.topic < right.topic; });
    for (size_t begin = 0; begin < changes.size();) {
      const std::string& topic = changes[begin].topic;
      Ring& ring = RingOf(topic);
      WatchResponse response;
      watch::v1::Delta& delta = *response.add_deltas();
      delta.set_from(ring.last_position);
      *delta.mutable_to() = to;
      size_t end = begin;
      for (; end < changes.size() && changes[end].topic == topic; ++end) {
        watch::v1::Change& change = *delta.add_changes();
        change.set_key(changes[end].key);
        if (changes[end].value.has_value()) {
          change.set_value(*std::move(changes[end].value));
        } else {
          change.set_removed(true);
        }
      }
      std::shared_ptr<const std::string> bytes = Serialise(response);
      ++NumbersOf(topic).deltas;
      ring.bytes += bytes->size();
      ring.last_position = to.position();
      ring.snapshot = nullptr;
      ring.deltas.push_back(std::move(bytes));
      ring.positions.push_back(to.position());
      // The newest delta stays whatever its size: who is up to date needs it.
      while (ring.deltas.size() > 1 && (ring.deltas.size() > limits_.ring_deltas_max ||
                                        ring.bytes > limits_.ring_bytes_max)) {
        ring.bytes -= ring.deltas.front()->size();
        ring.complete_after = ring.positions.front();
        ring.deltas.pop_front();
        ring.positions.pop_front();
        ++ring.first_sequence;
      }
      if (auto members = watchers_.find(topic); members != watchers_.end()) {
        auto& list = members->second;
        for (auto member = list.begin(); member != list.end();) {
          std::shared_ptr<Watcher> watcher = member->lock();
          if (watcher == nullptr) {
            member = list.erase(member);
            continue;
          }
          if (watcher->waiting_) {
            watcher->waiting_ = false;
            ready.push_back(std::move(watcher));
          }
          ++member;
        }
        if (list.empty()) watchers_.erase(members);
      }
      begin = end;
    }
  }
  for (const std::shared_ptr<Watcher>& watcher : ready) watcher->on_ready_();
}

void WatchHub::AddLocked(const std::shared_ptr<Watcher>& watcher) {
  if (watcher->hub_ == nullptr) {
    watcher->hub_ = this;
    watchers_[watcher->topic_].push_back(watcher);
  }
  watcher->resyncing_ = false;
}

bool WatchHub::Resume(const std::shared_ptr<Watcher>& watcher,
                      const watch::v1::Revision& revision) {
  {
    MutexLock lock(&mutex_);
    Ring& ring = RingOf(watcher->topic_);
    if (revision.position() < ring.complete_after) return false;
    const auto after =
        std::upper_bound(ring.positions.begin(), ring.positions.end(), revision.position());
    watcher->next_sequence_ =
        ring.first_sequence + static_cast<uint64_t>(after - ring.positions.begin());
    AddLocked(watcher);
    // A bookmark at once: the client learns that it was taken up where it left.
    watcher->bookmark_due_ = after == ring.positions.end();
    watcher->waiting_ = false;
  }
  watcher->on_ready_();
  return true;
}

WatchHub::Chunks WatchHub::MakeChunks(const TopicEntries& entries) const {
  Chunks chunks;
  WatchResponse chunk;
  size_t chunk_bytes = 0;
  for (const auto& [key, value] : entries) {
    watch::v1::Change& entry = *chunk.mutable_chunk()->add_entries();
    entry.set_key(key);
    entry.set_value(value);
    chunk_bytes += key.size() + value.size();
    if (chunk_bytes >= limits_.chunk_bytes_max) {
      chunks.push_back(Serialise(chunk));
      chunk.Clear();
      chunk_bytes = 0;
    }
  }
  if (chunk.has_chunk()) chunks.push_back(Serialise(chunk));
  return chunks;
}

std::shared_ptr<const WatchHub::Chunks> WatchHub::ChunksOf(
    const std::string& topic, const std::function<TopicEntries()>& entries) {
  {
    MutexLock lock(&mutex_);
    Ring& ring = RingOf(topic);
    ring.snapshot_asked = true;
    if (ring.snapshot != nullptr) return ring.snapshot;
  }
  // Without the lock, so that other topics' watchers go on. The topic cannot change meanwhile: only
  // the writer, which waits here, publishes.
  auto chunks = std::make_shared<const Chunks>(MakeChunks(entries()));
  MutexLock lock(&mutex_);
  RingOf(topic).snapshot = chunks;
  return chunks;
}

void WatchHub::Snapshot(const std::shared_ptr<Watcher>& watcher,
                        const watch::v1::Revision& revision, bool history_changed,
                        const std::function<TopicEntries()>& entries) {
  const std::shared_ptr<const Chunks> chunks = ChunksOf(watcher->topic_, entries);
  WatchResponse begin;
  begin.mutable_begin()->set_history_changed(history_changed);
  std::deque<std::shared_ptr<const std::string>> messages{Serialise(begin)};
  messages.insert(messages.end(), chunks->begin(), chunks->end());
  WatchResponse synced;
  *synced.mutable_synced()->mutable_revision() = revision;
  messages.push_back(Serialise(synced));
  {
    MutexLock lock(&mutex_);
    const Ring& ring = RingOf(watcher->topic_);
    ++NumbersOf(watcher->topic_).snapshots;
    watcher->snapshot_ = std::move(messages);
    watcher->next_sequence_ = ring.first_sequence + ring.deltas.size();
    watcher->bookmark_due_ = false;
    watcher->waiting_ = false;
    AddLocked(watcher);
  }
  watcher->on_ready_();
}

void WatchHub::MarkIdle() {
  std::vector<std::shared_ptr<Watcher>> ready;
  {
    MutexLock lock(&mutex_);
    for (auto& [topic, ring] : rings_) {
      if (!std::exchange(ring.snapshot_asked, false)) ring.snapshot = nullptr;
    }
    for (auto& [topic, members] : watchers_) {
      for (const std::weak_ptr<Watcher>& member : members) {
        std::shared_ptr<Watcher> watcher = member.lock();
        if (watcher == nullptr || !watcher->waiting_) continue;
        watcher->bookmark_due_ = true;
        watcher->waiting_ = false;
        ready.push_back(std::move(watcher));
      }
    }
  }
  for (const std::shared_ptr<Watcher>& watcher : ready) watcher->on_ready_();
}

size_t WatchHub::watchers() const {
  MutexLock lock(&mutex_);
  size_t count = 0;
  for (const auto& [topic, members] : watchers_) {
    for (const std::weak_ptr<Watcher>& member : members) count += member.expired() ? 0 : 1;
  }
  return count;
}

std::map<std::string, WatchHub::KindNumbers> WatchHub::numbers() const {
  MutexLock lock(&mutex_);
  std::map<std::string, KindNumbers> numbers = numbers_;
  for (const auto& [topic, members] : watchers_) {
    size_t& count = numbers[topic.substr(0, topic.find('/'))].watchers;
    for (const std::weak_ptr<Watcher>& member : members) count += member.expired() ? 0 : 1;
  }
  return numbers;
}

WatchFrame WatchHub::NextFor(Watcher* watcher) {
  WatchFrame frame;
  std::shared_ptr<Watcher> fell_off;
  {
    MutexLock lock(&mutex_);
    if (watcher->resyncing_) return frame;
    if (!watcher->snapshot_.empty()) {
      // One message at a time: a chunk is as large as a message should be.
      frame.push_back(std::move(watcher->snapshot_.front()));
      watcher->snapshot_.pop_front();
      return frame;
    }
    Ring& ring = RingOf(watcher->topic_);
    const uint64_t end = ring.first_sequence + ring.deltas.size();
    if (watcher->next_sequence_ < ring.first_sequence) {
      watcher->resyncing_ = true;
      ++NumbersOf(watcher->topic_).resyncs;
      fell_off = watcher->shared_from_this();
    } else if (watcher->next_sequence_ < end) {
      const auto first = ring.deltas.begin() +
                         static_cast<ptrdiff_t>(watcher->next_sequence_ - ring.first_sequence);
      frame.assign(first, ring.deltas.end());
      watcher->next_sequence_ = end;
      watcher->bookmark_due_ = false;
    } else if (watcher->bookmark_due_) {
      WatchResponse bookmark;
      *bookmark.mutable_bookmark()->mutable_revision() = head_;
      frame.push_back(Serialise(bookmark));
      watcher->bookmark_due_ = false;
    } else {
      watcher->waiting_ = true;
    }
  }
  if (fell_off != nullptr) resync_(std::move(fell_off));
  return frame;
}

}  // namespace berth
