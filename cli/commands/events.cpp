#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "berth/eventlog/v1/log.pb.h"
#include "cli/commands/commands.h"
#include "cli/foreground.h"
#include "cli/history.h"
#include "cli/moment.h"
#include "cli/record_text.h"
#include "cli/session.h"
#include "cli/streams.h"
#include "common/clock/system_clock.h"

namespace berth::cli {
namespace {

using eventlog::v1::FollowRecordsRequest;
using eventlog::v1::FollowRecordsResponse;
using eventlog::v1::RecordView;

// How long after an interruption what is followed is asked for again.
constexpr absl::Duration kReopenDelay = absl::Seconds(1);
constexpr uint32_t kLimitDefault = 50;

struct EventsOptions {
  bool follow = false;
  bool whole_platform = false;
  std::string since;
  std::string actor;
  std::string resource;
  uint32_t limit = kLimitDefault;
};

void Print(const RecordView& record, bool json) {
  const std::string text =
      json ? Document("Event", RecordJson(record)) : RecordLine(RecordCells(record));
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

// Prints what comes of every service's log until Ctrl-C, or an error that asking again does not
// mend.
absl::StatusOr<ExitCode> Follow(const HistoryQuery& query, std::map<std::string, uint64_t> after,
                                Session* session) {
  BERTH_ASSIGN_OR_RETURN(const std::shared_ptr<rpc::Channel> channel, session->channel());
  const bool json = session->output().json();
  Foreground foreground;
  absl::Mutex printing;  // Guards `after`, too.
  absl::Status over;
  std::map<std::string, std::unique_ptr<rpc::ClientStream>> streams;
  std::function<void(const std::string&)> open = [&](const std::string& name) {
    FollowRecordsRequest request;
    request.set_stream(name);
    request.set_org(query.org);
    {
      absl::MutexLock lock(&printing);
      request.set_after(after[name]);
    }
    *request.mutable_filter() = query.filter;
    streams[name] = channel->Open<FollowRecordsResponse>(
        request,
        [&printing, &after, name, json](const FollowRecordsResponse& response) {
          // Written where they arrive, so that a reader who is slow slows the server down instead
          // of filling this process's memory.
          absl::MutexLock lock(&printing);
          for (const RecordView& record : response.records()) Print(record, json);
          after[name] = response.position();
        },
        [&, name](absl::Status status) {
          foreground.Post([&, name, status] {
            // A service that restarts is no reason to end what is followed.
            if (absl::IsUnavailable(status) || absl::IsUnimplemented(status)) {
              return foreground.PostAfter(kReopenDelay, [&, name] { open(name); });
            }
            over = status;
            foreground.Stop();
          });
        });
  };
  for (const char* name : kStreams) open(name);
  const Foreground::Outcome outcome = foreground.Run(absl::InfiniteDuration());
  // Their callbacks post to the foreground, which goes first otherwise.
  streams.clear();
  if (outcome == Foreground::Outcome::kInterrupted) return ExitCode::kInterrupted;
  return over;
}

absl::StatusOr<ExitCode> RunEvents(const EventsOptions& options, Session* session) {
  HistoryQuery query;
  if (!options.whole_platform) {
    BERTH_ASSIGN_OR_RETURN(query.org, session->Org());
  }
  query.filter.set_actor(options.actor);
  query.filter.set_resource(options.resource);
  query.count_max = options.limit;
  if (!options.since.empty()) {
    BERTH_ASSIGN_OR_RETURN(const Moment moment, ParseMoment(options.since, SystemClock().Now()));
    BERTH_ASSIGN_OR_RETURN(query.since, TimeOf(moment, query.org, session));
  }
  BERTH_ASSIGN_OR_RETURN(const History history, ReadHistory(query, session));
  const Output& output = session->output();
  if (options.follow) {
    for (const RecordView& record : history.records) Print(record, output.json());
    return Follow(query, history.ends, session);
  }
  Json items = Json::array();
  Table table = {RecordHeadings(), {}};
  for (const RecordView& record : history.records) {
    items.push_back(RecordJson(record));
    table.rows.push_back(RecordCells(record));
  }
  output.List("EventList", items, table, "nothing happened that you may see, as far as asked for");
  if (history.more) {
    output.Say(absl::StrCat("older ones are there, too; see: --limit, now ", options.limit));
  }
  if (!history.cut.empty()) {
    output.Say(absl::StrCat("what is older was cut off the logs of ",
                            absl::StrJoin(history.cut, ", "), ", as the server's settings say"));
  }
  return ExitCode::kSuccess;
}

}  // namespace

Command EventsCommand() {
  const auto options = std::make_shared<EventsOptions>();
  return {.name = "events",
          .summary = "Show what happened: who did what, when, and what came of it",
          .example = "berth events --since 1h --resource hello/production",
          .declare =
              [options](Arguments* arguments) {
                arguments->Flag("-f,--follow", &options->follow, "go on with what happens");
                arguments->Option("--since", &options->since, kMomentPlaceholder,
                                  "not what is older: than so long ago, a time in UTC, a record");
                arguments->Option("--actor", &options->actor, "PRINCIPAL",
                                  "only what that one did, such as user/ada");
                arguments->Option("--resource", &options->resource, "RESOURCE",
                                  "only what is about it: APP, APP/ENV, host/NAME, edge/NAME, "
                                  "user/NAME, secret/NAME, route/NAME or instance/NAME");
                arguments->Option("--limit", &options->limit, "N",
                                  absl::StrCat("the newest so many; default: ", kLimitDefault));
                arguments->Flag("--platform", &options->whole_platform,
                                "of all orgs and of the platform itself, for its administrator");
              },
          .run = [options](Session* session) { return RunEvents(*options, session); }};
}

}  // namespace berth::cli
