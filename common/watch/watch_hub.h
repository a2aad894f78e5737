#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "berth/watch/v1/watch.pb.h"
#include "common/sync/mutex.h"

namespace berth {

// One key of one topic after a record: its new value, or that it is gone.
struct TopicChange {
  std::string topic;
  std::string key;
  std::optional<std::string> value;
};

// Everything of one topic, in the order of the keys.
using TopicEntries = std::vector<std::pair<std::string, std::string>>;

// What a watcher sends next: serialised pieces whose concatenation is one WatchResponse. The bytes
// are shared between all watchers of a topic.
using WatchFrame = std::vector<std::shared_ptr<const std::string>>;

class WatchHub;

// One end of a watch. The hub keeps it weakly: who drops it stops watching. Next may be called from
// any thread, one call at a time.
class Watcher : public std::enable_shared_from_this<Watcher> {
 public:
  // `on_ready` is called, from any thread and without locks held, when Next would return something
  // after it had nothing. It must not block, and may call Next.
  explicit Watcher(std::string topic, std::function<void()> on_ready)
      : topic_(std::move(topic)), on_ready_(std::move(on_ready)) {}

  const std::string& topic() const { return topic_; }

  // All that is there for this watcher, as one message; empty when there is nothing now.
  WatchFrame Next();

 private:
  friend class WatchHub;

  const std::string topic_;
  const std::function<void()> on_ready_;
  // What follows is guarded by the hub's mutex, once the hub knows the watcher.
  WatchHub* hub_ = nullptr;
  std::deque<std::shared_ptr<const std::string>> snapshot_;  // Not yet sent.
  uint64_t next_sequence_ = 0;                               // Of the topic's ring.
  bool resyncing_ = false;  // A new snapshot is on its way; deltas wait for it.
  bool waiting_ = false;    // Next had nothing: on_ready is due.
  bool bookmark_due_ = false;
};

// Sends what a log's records change to whoever watches (berth/watch/v1/watch.proto).
//
// Each topic has a ring of serialised deltas, bounded in count and bytes. A watcher is a place in
// it: one that is behind gets all it missed at once; one that fell off the ring is given a new
// snapshot on the same stream. Nobody waits for a slow watcher.
//
// Publish, Resume, Snapshot and MarkIdle are called by the log's writer, in the order of its
// records; Watcher::Next by any thread.
class WatchHub {
 public:
  struct Limits {
    size_t ring_deltas_max = 1024;
    size_t ring_bytes_max = size_t{1} << 20;
    size_t chunk_bytes_max = size_t{256} << 10;
  };

  // What was sent of one kind of topic: its name up to the first '/', so that there are few.
  struct KindNumbers {
    size_t watchers = 0;     // Connected now.
    uint64_t deltas = 0;     // Published since the start.
    uint64_t snapshots = 0;  // Sent since the start, resyncs included.
    uint64_t resyncs = 0;    // Because a watcher fell off its ring, or the log was loaded again.
  };

  // `resync` is called, from any thread and without locks held, for a watcher that fell off its
  // ring; the writer answers with Snapshot.
  WatchHub(Limits limits, std::function<void(std::shared_ptr<Watcher>)> resync)
      : limits_(limits), resync_(std::move(resync)) {}

  // Forgets every ring: history begins at `position`. Watchers are resynced.
  void Reset(uint64_t position);

  // Adds what the record at `to` changed. `changes` may be empty.
  void Publish(const watch::v1::Revision& to, std::vector<TopicChange> changes);

  // Lets the watcher go on after `revision`, which the caller found in this history. False when the
  // ring does not reach back that far: the caller gives it a snapshot instead.
  bool Resume(const std::shared_ptr<Watcher>& watcher, const watch::v1::Revision& revision);

  // Gives the watcher everything as of `revision`, which is the head; deltas follow from there.
  // `entries` makes what the topic holds now: called before this returns, or not at all where an
  // earlier watcher's bytes still say the same.
  void Snapshot(const std::shared_ptr<Watcher>& watcher, const watch::v1::Revision& revision,
                bool history_changed, const std::function<TopicEntries()>& entries);

  // Gives a bookmark at the head to every watcher that has nothing else to send, and lets go of the
  // snapshots that nobody asked for since the last call.
  void MarkIdle();

  // Watchers that are connected.
  size_t watchers() const;

  // From any thread.
  std::map<std::string, KindNumbers> numbers() const;

 private:
  friend class Watcher;

  // A topic's entries as serialised messages, which its watchers share: when thousands come back at
  // once, each costs its place in them.
  using Chunks = std::vector<std::shared_ptr<const std::string>>;

  struct Ring {
    std::deque<std::shared_ptr<const std::string>> deltas;
    uint64_t first_sequence = 0;  // Of deltas.front().
    size_t bytes = 0;
    uint64_t last_position = 0;  // Of the newest delta; 0 when there was none.
    // Every delta at a higher position than this is in `deltas`.
    uint64_t complete_after = 0;
    std::deque<uint64_t> positions;  // Beside `deltas`.
    // As of the newest delta; null when nobody has asked lately.
    std::shared_ptr<const Chunks> snapshot;
    bool snapshot_asked = false;  // Since the last MarkIdle.
  };

  WatchFrame NextFor(Watcher* watcher);
  Chunks MakeChunks(const TopicEntries& entries) const;
  // What the topic holds now, serialised.
  std::shared_ptr<const Chunks> ChunksOf(const std::string& topic,
                                         const std::function<TopicEntries()>& entries);
  Ring& RingOf(const std::string& topic) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  KindNumbers& NumbersOf(const std::string& topic) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddLocked(const std::shared_ptr<Watcher>& watcher) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Limits limits_;
  const std::function<void(std::shared_ptr<Watcher>)> resync_;
  mutable Mutex mutex_;
  absl::flat_hash_map<std::string, Ring> rings_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::vector<std::weak_ptr<Watcher>>> watchers_
      ABSL_GUARDED_BY(mutex_);
  // Without `watchers`, which is counted when it is asked for.
  std::map<std::string, KindNumbers> numbers_ ABSL_GUARDED_BY(mutex_);
  watch::v1::Revision head_ ABSL_GUARDED_BY(mutex_);
  uint64_t history_begin_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace berth
