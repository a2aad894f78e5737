#include "common/history/log_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/eventlog/log_begin.h"
#include "common/history/record_view.h"
#include "common/history/too_many.h"
#include "common/status/status_macros.h"
#include "common/time/timestamp.h"

namespace berth {
namespace {

using eventlog::v1::FollowRecordsRequest;
using eventlog::v1::FollowRecordsResponse;
using eventlog::v1::ListRecordsRequest;
using eventlog::v1::ListRecordsResponse;
using eventlog::v1::Record;
using eventlog::v1::RecordView;
using eventlog::v1::VerifyLogRequest;
using eventlog::v1::VerifyLogResponse;

// Stores a refusal by the gate as the writer's services do.
void RecordRefusal(LogWriter* writer, CommandOrigin origin, const absl::Status& refusal,
                   std::function<void(absl::Status)> done) {
  writer->EnqueueCommand(
      std::move(origin), Recorded::kAlways,
      [refusal](const DecisionContext&) -> absl::StatusOr<LogWriter::Outcome> { return refusal; },
      [done = std::move(done)](absl::StatusOr<std::string> answer) { done(answer.status()); });
}

}  // namespace

// A ListRecords under way.
struct LogService::Listing {
  Stream* stream;
  ListRecordsRequest request;
  std::function<void(absl::StatusOr<ListRecordsResponse>)> reply;
  size_t count_max;
  ListRecordsResponse response;   // Without its records.
  std::vector<RecordView> found;  // Newest first.
  size_t bytes = 0;
  size_t looked_at = 0;
};

LogService::LogService(std::vector<LogSource> sources, rpc::AccessView* access, Executor* executor,
                       const Clock* clock)
    : executor_(executor),
      dispatcher_(ListRecordsRequest::descriptor()->file()->service(0), access, executor, clock,
                  [writer = sources.front().writer](CommandOrigin origin, absl::Status refusal,
                                                    std::function<void(absl::Status)> done) {
                    RecordRefusal(writer, std::move(origin), refusal, std::move(done));
                  }) {
  for (LogSource& source : sources) {
    Stream* const stream = &streams_[source.stream];
    stream->source = std::move(source);
    stream->source.writer->WhenChanged([this, stream] {
      executor_->Post([stream] {
        std::erase_if(stream->followers, [](const auto& each) { return each.expired(); });
        for (const std::weak_ptr<Follower>& each : stream->followers) {
          if (const std::shared_ptr<Follower> follower = each.lock()) follower->Look();
        }
      });
    });
  }
  AddHandlers();
}

void LogService::AddHandlers() {
  dispatcher_.Unary<ListRecordsRequest, ListRecordsResponse>(
      [this](const rpc::Call&, const ListRecordsRequest& request, auto reply) {
        executor_->Post([this, request, reply] {
          const absl::StatusOr<Stream*> stream = Find(request.stream());
          if (!stream.ok()) return reply(stream.status());
          if (reads_ == kReadsMax) return reply(TooMany("readers of the past", kReadsMax));
          ++reads_;
          auto listing = std::make_shared<Listing>();
          listing->stream = *stream;
          listing->request = request;
          listing->reply = reply;
          listing->count_max = request.count_max() == 0
                                   ? kAnswerRecordsDefault
                                   : std::min(request.count_max(), kAnswerRecordsMax);
          const uint64_t end = (*stream)->source.writer->numbers().position;
          listing->response.set_end(end);
          listing->response.set_begin(request.before() == 0 ? end + 1
                                                            : std::min(request.before(), end + 1));
          List(listing);
        });
      });
  dispatcher_.Streaming<FollowRecordsRequest, FollowRecordsResponse>(
      [this](const rpc::Call&, const FollowRecordsRequest& request,
             std::shared_ptr<rpc::Stream> stream) {
        executor_->Post([this, request, stream] { Follow(request, stream); });
      });
  dispatcher_.Streaming<VerifyLogRequest, VerifyLogResponse>(
      [this](const rpc::Call&, const VerifyLogRequest& request,
             std::shared_ptr<rpc::Stream> stream) {
        executor_->Post([this, name = request.stream(), stream] { Verify(name, stream); });
      });
}

absl::StatusOr<LogService::Stream*> LogService::Find(const std::string& name) {
  const auto found = streams_.find(name);
  if (name.empty()) return absl::InvalidArgumentError("which service's log? the stream is empty");
  if (found == streams_.end()) {
    // Without a reason, so that a client that has asked at the wrong place asks where the right one
    // is.
    return absl::UnimplementedError(absl::StrCat("no service \"", name, "\" is served here"));
  }
  BERTH_RETURN_IF_ERROR(found->second.source.writer->Leading());
  return &found->second;
}

absl::StatusOr<std::vector<Record>> LogService::Read(Stream* stream, uint64_t after,
                                                     size_t count_max) {
  if (stream->reader == nullptr) {
    BERTH_ASSIGN_OR_RETURN(stream->reader, stream->source.open());
  }
  // What the writer has stored and does not know to be durable may yet be taken back.
  const LogWriter::Numbers numbers = stream->source.writer->numbers();
  const uint64_t last = std::min<uint64_t>(numbers.position, after + count_max);
  after = std::max(after, numbers.cut_position);
  std::vector<Record> records;
  while (after + records.size() < last) {
    const uint64_t from = after + records.size();
    const absl::StatusOr<std::vector<StoredRecord>> stored =
        stream->reader->Read(from, static_cast<size_t>(last - from));
    BERTH_RETURN_IF_ERROR(UnlessCutSince(stream->source.stream, numbers.cut_position,
                                         stored.status(), stream->reader.get()));
    if (stored->empty()) break;
    for (const StoredRecord& each : *stored) {
      if (!records.emplace_back().ParseFromString(each.bytes)) {
        return absl::DataLossError(absl::StrCat("stream ", stream->source.stream, ", position ",
                                                each.position,
                                                ": the record cannot be read; restore a backup"));
      }
    }
  }
  return records;
}

void LogService::List(const std::shared_ptr<Listing>& listing) {
  const absl::StatusOr<bool> enough = LookBack(listing.get());
  if (enough.ok() && !*enough) return executor_->Post([this, listing] { List(listing); });
  --reads_;
  if (!enough.ok()) return listing->reply(enough.status());
  for (auto view = listing->found.rbegin(); view != listing->found.rend(); ++view) {
    *listing->response.add_records() = std::move(*view);
  }
  listing->reply(std::move(listing->response));
}

absl::StatusOr<bool> LogService::LookBack(Listing* listing) {
  const ListRecordsRequest& request = listing->request;
  ListRecordsResponse& response = listing->response;
  const uint64_t before = response.begin();
  const uint64_t cut = listing->stream->source.writer->numbers().cut_position;
  response.set_cut_position(cut);
  const uint64_t after =
      before <= cut + 1 + kChunkRecords ? std::min(cut, before - 1) : before - 1 - kChunkRecords;
  BERTH_ASSIGN_OR_RETURN(const std::vector<Record> records,
                         Read(listing->stream, after, static_cast<size_t>(before - 1 - after)));
  for (auto record = records.rbegin(); record != records.rend(); ++record) {
    if (request.has_since() && FromTimestamp(record->time()) < FromTimestamp(request.since())) {
      response.set_complete(true);
      return true;
    }
    response.set_begin(record->position());
    ++listing->looked_at;
    std::optional<RecordView> view =
        ViewOf(*record, *listing->stream->source.dispatcher->event(), request.org());
    if (!view.has_value() || !Matches(request.filter(), *view)) continue;
    listing->bytes += view->ByteSizeLong();
    listing->found.push_back(*std::move(view));
    if (listing->found.size() >= listing->count_max || listing->bytes >= kAnswerBytesMax) {
      response.set_complete(response.begin() <= cut + 1);
      return true;
    }
  }
  response.set_complete(after <= cut);
  return after <= cut || records.empty() || listing->looked_at >= kLookedAtMax;
}

void LogService::Follow(const FollowRecordsRequest& request,
                        const std::shared_ptr<rpc::Stream>& stream) {
  const absl::StatusOr<Stream*> found = Find(request.stream());
  if (!found.ok()) return stream->End(found.status());
  size_t followers = 0;
  for (auto& [name, each] : streams_) {
    std::erase_if(each.followers, [](const auto& follower) { return follower.expired(); });
    followers += each.followers.size();
  }
  if (followers >= kFollowersMax) return stream->End(TooMany("followers", kFollowersMax));
  auto follower = std::make_shared<Follower>(
      request.after(),
      [this, request, of = *found](uint64_t after) { return ReadOn(of, request, after); },
      executor_, stream);
  (*found)->followers.push_back(follower);
  stream->Begin(follower);
  follower->Look();
}

void LogService::Verify(const std::string& name, const std::shared_ptr<rpc::Stream>& stream) {
  const absl::StatusOr<Stream*> found = Find(name);
  if (!found.ok()) return stream->End(found.status());
  // The state first: what is read of the log afterwards reaches at least as far.
  (*found)->source.writer->EnqueueSave(
      [this, of = *found, stream](absl::StatusOr<SavedState> served) {
        if (!served.ok()) return stream->End(served.status());
        executor_->Post([this, of, stream, served = *std::move(served)]() mutable {
          absl::Status begun = BeginVerification(of, std::move(served), stream);
          if (!begun.ok()) stream->End(begun);
        });
      });
}

absl::Status LogService::BeginVerification(Stream* of, SavedState served,
                                           const std::shared_ptr<rpc::Stream>& stream) {
  const std::shared_ptr<Verification> other = verification_.lock();
  if (other != nullptr && !other->over()) return TooMany("verifications", kVerificationsMax);
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<LogReader> reader, of->source.open());
  LogVerifier verifier(of->source.stream, of->source.writer->NewState());
  verifier.ExpectServed(std::move(served));
  BERTH_RETURN_IF_ERROR(verifier.ExpectRowsOf(reader.get()));
  const auto verification =
      std::make_shared<Verification>(std::move(verifier), std::move(reader), executor_, stream);
  verification_ = verification;
  stream->Begin(verification);
  verification->Go();
  return absl::OkStatus();
}

absl::StatusOr<FollowRecordsResponse> LogService::ReadOn(Stream* stream,
                                                         const FollowRecordsRequest& request,
                                                         uint64_t after) {
  BERTH_RETURN_IF_ERROR(stream->source.writer->Leading());
  after = std::max(after, stream->source.writer->numbers().cut_position);
  FollowRecordsResponse response;
  response.set_position(after);
  BERTH_ASSIGN_OR_RETURN(const std::vector<Record> records, Read(stream, after, kChunkRecords));
  size_t bytes = 0;
  for (const Record& record : records) {
    if (bytes >= kAnswerBytesMax) break;
    response.set_position(record.position());
    std::optional<RecordView> view =
        ViewOf(record, *stream->source.dispatcher->event(), request.org());
    if (!view.has_value() || !Matches(request.filter(), *view)) continue;
    bytes += view->ByteSizeLong();
    *response.add_records() = *std::move(view);
  }
  return response;
}

}  // namespace berth
