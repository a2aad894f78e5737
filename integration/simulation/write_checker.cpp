#include "integration/simulation/write_checker.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "berth/eventlog/v1/record.pb.h"
#include "common/crypto/hash.h"
#include "common/status/status_macros.h"

namespace berth::simulation {
namespace {

struct Parsed {
  eventlog::v1::Record record;
  absl::Duration known;
};

std::string KeyOf(absl::string_view principal, absl::string_view method,
                  absl::string_view request_id) {
  return absl::StrCat(principal, " ", method, " ", absl::BytesToHexString(request_id));
}

absl::StatusOr<std::vector<Parsed>> ParseChained(const std::vector<Journal::Entry>& records,
                                                 const std::string& stream) {
  std::vector<Parsed> parsed;
  std::string hash(kBlake2b256Size, '\0');
  for (const Journal::Entry& entry : records) {
    Parsed& one = parsed.emplace_back();
    one.known = entry.known;
    const std::string where = absl::StrCat("stream ", stream, ", position ", entry.record.position);
    hash = Blake2b256({hash, entry.record.bytes});
    if (hash != entry.record.hash || entry.record.position != parsed.size()) {
      return absl::DataLossError(absl::StrCat(where, ": does not chain"));
    }
    if (!one.record.ParseFromString(entry.record.bytes) || one.record.stream() != stream) {
      return absl::DataLossError(absl::StrCat(where, ": cannot be read"));
    }
  }
  return parsed;
}

absl::Status CheckAnswer(const Operation& operation, const eventlog::v1::Record& record,
                         const std::string& what) {
  if (static_cast<int>(operation.answer.status().code()) != record.outcome().code()) {
    return absl::InternalError(absl::StrCat(what, ": answered ",
                                            operation.answer.status().ToString(),
                                            ", but recorded with code ", record.outcome().code()));
  }
  if (operation.answer.ok() && *operation.answer != record.answer()) {
    return absl::InternalError(absl::StrCat(what, ": answered otherwise than recorded"));
  }
  if (!operation.answer.ok() && operation.answer.status().message() != record.outcome().message()) {
    return absl::InternalError(
        absl::StrCat(what, ": refused with \"", operation.answer.status().message(),
                     "\", but recorded with \"", record.outcome().message(), "\""));
  }
  return absl::OkStatus();
}

// In the order of the records: whoever was answered before somebody else called comes first.
absl::Status CheckOrder(std::vector<std::pair<uint64_t, const Operation*>> placed) {
  std::sort(placed.begin(), placed.end(),
            [](const auto& one, const auto& other) { return one.first < other.first; });
  // From the last to the first: nobody may have been answered before a call that stands behind it
  // in the log was made... so the earliest answer of what follows must not precede a call before.
  absl::Duration earliest_answer = absl::InfiniteDuration();
  uint64_t of = 0;
  for (auto one = placed.rbegin(); one != placed.rend(); ++one) {
    if (earliest_answer < one->second->called) {
      return absl::InternalError(absl::StrCat("position ", of, " was answered before position ",
                                              one->first, " was asked for"));
    }
    if (one->second->answered.has_value() && *one->second->answered < earliest_answer) {
      earliest_answer = *one->second->answered;
      of = one->first;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckWrites(const std::vector<Journal::Entry>& records, const std::string& stream,
                         const std::vector<Operation>& operations,
                         const std::set<std::string>& silent) {
  BERTH_ASSIGN_OR_RETURN(const std::vector<Parsed> parsed, ParseChained(records, stream));
  std::map<std::string, std::vector<const Parsed*>> by_request;
  for (const Parsed& one : parsed) {
    if (one.record.request_id().empty() || silent.contains(one.record.actor().principal())) {
      continue;
    }
    by_request[KeyOf(one.record.actor().principal(), one.record.method(), one.record.request_id())]
        .push_back(&one);
  }
  std::vector<std::pair<uint64_t, const Operation*>> placed;
  size_t answered = 0;
  for (const Operation& operation : operations) {
    if (operation.stream != stream || !operation.IsCommand()) continue;
    const std::string key = KeyOf(operation.principal, operation.method, operation.request_id);
    const std::string what = absl::StrCat("stream ", stream, ", command ", key);
    const auto found = by_request.find(key);
    const size_t count = found == by_request.end() ? 0 : found->second.size();
    if (count > 1) return absl::InternalError(absl::StrCat(what, ": is recorded twice"));
    if (operation.answered.has_value()) {
      ++answered;
      if (count == 0) {
        return absl::InternalError(absl::StrCat(
            what, ": was answered ", operation.answer.status().ToString(), ", and has no record"));
      }
    }
    if (count == 0) continue;
    const Parsed& one = *found->second.front();
    placed.push_back({one.record.position(), &operation});
    if (one.known < operation.called) {
      return absl::InternalError(absl::StrCat(what, ": is recorded before it was asked for"));
    }
    if (!operation.answered.has_value()) continue;
    if (one.known > *operation.answered) {
      return absl::InternalError(absl::StrCat(what, ": was answered before it was stored"));
    }
    BERTH_RETURN_IF_ERROR(CheckAnswer(operation, one.record, what));
  }
  if (answered == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("stream ", stream, ": no command was answered, so nothing was checked"));
  }
  // Whatever has a request id was asked for by a client, whose history is here.
  if (placed.size() != by_request.size()) {
    return absl::FailedPreconditionError(absl::StrCat("stream ", stream, ": ", by_request.size(),
                                                      " commands are recorded, and ", placed.size(),
                                                      " of them are in the clients' histories"));
  }
  return CheckOrder(std::move(placed));
}

}  // namespace berth::simulation
