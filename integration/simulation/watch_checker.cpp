#include "integration/simulation/watch_checker.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/eventlog/log_begin.h"
#include "common/status/status_macros.h"

namespace berth::simulation {
namespace {

constexpr size_t kRevisionHashSize = 16;

struct TrueDelta {
  uint64_t from;
  uint64_t to;
  std::vector<TopicChange> changes;
};

// What the records say of the topics that were watched.
struct Truth {
  const std::vector<Journal::Entry>* records;
  std::map<std::string, std::vector<TrueDelta>> deltas;              // By topic.
  std::map<std::pair<std::string, uint64_t>, TopicEntries> entries;  // Where a snapshot was taken.
  std::vector<std::pair<absl::Duration, uint64_t>> cuts;  // Since when, and through which position.
};

Truth Replay(const std::vector<Journal::Entry>& records, StreamModel* model,
             const std::set<std::pair<std::string, uint64_t>>& snapshots) {
  Truth truth;
  truth.records = &records;
  for (const Journal::Entry& entry : records) {
    eventlog::v1::Record record;
    BERTH_CHECK(record.ParseFromString(entry.record.bytes));
    if (const std::optional<eventlog::v1::LogBegin> begin = CutBy(record)) {
      truth.cuts.emplace_back(entry.known, begin->position());
    }
    std::map<std::string, std::vector<TopicChange>> by_topic;
    for (TopicChange& change : model->Apply(record)) {
      by_topic[change.topic].push_back(std::move(change));
    }
    for (auto& [topic, changes] : by_topic) {
      std::vector<TrueDelta>& deltas = truth.deltas[topic];
      deltas.push_back(
          {deltas.empty() ? 0 : deltas.back().to, record.position(), std::move(changes)});
    }
    for (auto at = snapshots.begin(); at != snapshots.end(); ++at) {
      if (at->second == record.position()) truth.entries[*at] = model->Entries(at->first);
    }
  }
  return truth;
}

// One watcher's place in its topic, message by message.
class Follower {
 public:
  Follower(const WatchHistory& history, const Truth& truth) : history_(history), truth_(truth) {
    const auto found = truth.deltas.find(history.topic);
    if (found != truth.deltas.end()) deltas_ = &found->second;
  }

  absl::Status Take(const Watched& watched) {
    now_ = watched.at;
    if (watched.kind == Watched::Kind::kOpened) {
      arriving_.reset();
      at_.reset();
      if (watched.resume.has_value()) at_ = watched.resume->position();
      resumed_ = at_.value_or(0);
      return absl::OkStatus();
    }
    const watch::v1::WatchResponse& message = watched.message;
    if (message.has_begin()) BERTH_RETURN_IF_ERROR(Begin(message.begin()));
    if (message.has_chunk()) BERTH_RETURN_IF_ERROR(Chunk(message.chunk()));
    if (message.has_synced()) BERTH_RETURN_IF_ERROR(Synced(message.synced()));
    for (const watch::v1::Delta& delta : message.deltas()) BERTH_RETURN_IF_ERROR(Next(delta));
    if (message.has_bookmark()) BERTH_RETURN_IF_ERROR(Bookmark(message.bookmark()));
    return absl::OkStatus();
  }

  uint64_t newest() const { return newest_; }

 private:
  absl::Status Broken(const std::string& what) const {
    return absl::InternalError(absl::StrCat(history_.watcher, ", watching ", history_.topic, " of ",
                                            history_.stream, ", at position ", at_.value_or(0),
                                            ": ", what));
  }

  absl::Status CheckRevision(const watch::v1::Revision& revision) {
    if (revision.position() == 0 || revision.position() > truth_.records->size()) {
      return Broken(
          absl::StrCat("was told of position ", revision.position(), ", which is not in the log"));
    }
    const Journal::Entry& entry = (*truth_.records)[revision.position() - 1];
    if (entry.record.hash.substr(0, kRevisionHashSize) != revision.hash()) {
      return Broken(absl::StrCat("was told of another record at position ", revision.position()));
    }
    if (entry.known > now_) {
      return Broken(
          absl::StrCat("was told of position ", revision.position(), " before that was stored"));
    }
    newest_ = std::max(newest_, revision.position());
    return absl::OkStatus();
  }

  absl::Status Begin(const watch::v1::SnapshotBegin& begin) {
    if (begin.history_changed() && !ResumedCutOff()) {
      return Broken("was told that history has changed");
    }
    arriving_ = TopicEntries();
    return absl::OkStatus();
  }

  // Whether where it resumed is not in the log any more.
  bool ResumedCutOff() const {
    return std::any_of(truth_.cuts.begin(), truth_.cuts.end(), [this](const auto& cut) {
      return cut.first <= now_ && resumed_ < cut.second;
    });
  }

  absl::Status Chunk(const watch::v1::SnapshotChunk& chunk) {
    if (!arriving_.has_value()) return Broken("a chunk outside of a snapshot");
    for (const watch::v1::Change& entry : chunk.entries()) {
      arriving_->emplace_back(entry.key(), entry.value());
    }
    return absl::OkStatus();
  }

  absl::Status Synced(const watch::v1::Synced& synced) {
    if (!arriving_.has_value()) return Broken("the end of a snapshot that did not begin");
    BERTH_RETURN_IF_ERROR(CheckRevision(synced.revision()));
    const uint64_t position = synced.revision().position();
    if (position < newest_) return Broken(absl::StrCat("a snapshot of the past: ", position));
    if (*arriving_ != truth_.entries.at({history_.topic, position})) {
      return Broken(
          absl::StrCat("the snapshot at position ", position, " is not what the log says"));
    }
    arriving_.reset();
    at_ = position;
    return absl::OkStatus();
  }

  // The first delta after a position; nullptr: none.
  const TrueDelta* After(uint64_t position) const {
    if (deltas_ == nullptr) return nullptr;
    for (const TrueDelta& delta : *deltas_) {
      if (delta.to > position) return &delta;
    }
    return nullptr;
  }

  absl::Status Next(const watch::v1::Delta& delta) {
    if (arriving_.has_value()) return Broken("a delta inside a snapshot");
    if (!at_.has_value()) return Broken("a delta before any snapshot");
    BERTH_RETURN_IF_ERROR(CheckRevision(delta.to()));
    const TrueDelta* const expected = After(*at_);
    if (expected == nullptr || expected->to != delta.to().position()) {
      return Broken(absl::StrCat("got the delta of position ", delta.to().position(), ", not of ",
                                 expected == nullptr ? 0 : expected->to));
    }
    // A start that did not go back so far in the log does not know the one before.
    if (delta.from() != expected->from && delta.from() != 0) {
      return Broken(absl::StrCat("the delta of position ", expected->to, " follows ",
                                 expected->from, ", not ", delta.from()));
    }
    bool same = delta.changes_size() == static_cast<int>(expected->changes.size());
    for (int i = 0; same && i < delta.changes_size(); ++i) {
      const watch::v1::Change& change = delta.changes(i);
      const TopicChange& truly = expected->changes[static_cast<size_t>(i)];
      same = change.key() == truly.key && change.has_value() == truly.value.has_value() &&
             (!change.has_value() || change.value() == *truly.value);
    }
    if (!same) {
      return Broken(
          absl::StrCat("the delta of position ", expected->to, " is not what the log says"));
    }
    at_ = expected->to;
    return absl::OkStatus();
  }

  absl::Status Bookmark(const watch::v1::Bookmark& bookmark) {
    if (arriving_.has_value() || !at_.has_value()) return Broken("a bookmark before a snapshot");
    BERTH_RETURN_IF_ERROR(CheckRevision(bookmark.revision()));
    const uint64_t position = bookmark.revision().position();
    if (position < *at_) return Broken(absl::StrCat("a bookmark of the past: ", position));
    const TrueDelta* const missed = After(*at_);
    if (missed != nullptr && missed->to <= position) {
      return Broken(absl::StrCat("a bookmark at ", position, " passes over the delta of position ",
                                 missed->to));
    }
    at_ = position;
    return absl::OkStatus();
  }

  const WatchHistory& history_;
  const Truth& truth_;
  const std::vector<TrueDelta>* deltas_ = nullptr;
  absl::Duration now_;
  std::optional<uint64_t> at_;
  uint64_t resumed_ = 0;
  uint64_t newest_ = 0;
  std::optional<TopicEntries> arriving_;
};

}  // namespace

absl::Status CheckWatches(const std::vector<Journal::Entry>& records, const std::string& stream,
                          const std::function<std::unique_ptr<StreamModel>()>& make_model,
                          const std::vector<WatchHistory>& histories) {
  std::set<std::pair<std::string, uint64_t>> snapshots;
  size_t watchers = 0;
  for (const WatchHistory& history : histories) {
    if (history.stream != stream) continue;
    ++watchers;
    uint64_t messages = 0;
    for (const Watched& watched : history.watched) {
      if (watched.kind == Watched::Kind::kMessage) ++messages;
      if (watched.message.has_synced()) {
        snapshots.insert({history.topic, watched.message.synced().revision().position()});
      }
    }
    if (messages == 0 || messages != history.messages_brought) {
      return absl::FailedPreconditionError(
          absl::StrCat(history.watcher, " says that it received ", messages, " messages, and ",
                       history.messages_brought, " were brought to it"));
    }
  }
  if (watchers == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("stream ", stream, ": nobody watched, so nothing was checked"));
  }
  const std::unique_ptr<StreamModel> model = make_model();
  const Truth truth = Replay(records, model.get(), snapshots);
  for (const WatchHistory& history : histories) {
    if (history.stream != stream) continue;
    Follower follower(history, truth);
    for (const Watched& watched : history.watched) {
      BERTH_RETURN_IF_ERROR(follower.Take(watched));
    }
    // Faults have ended before a history does: nobody stays behind.
    const auto deltas = truth.deltas.find(history.topic);
    if (deltas != truth.deltas.end() && follower.newest() < deltas->second.back().to) {
      return absl::InternalError(absl::StrCat(
          history.watcher, ", watching ", history.topic, " of ", stream, ", ends at position ",
          follower.newest(), " and never heard of position ", deltas->second.back().to));
    }
  }
  return absl::OkStatus();
}

}  // namespace berth::simulation
