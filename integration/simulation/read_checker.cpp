#include "integration/simulation/read_checker.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"

namespace berth::simulation {
namespace {

// A command of a client, where it stands in the log.
struct Placed {
  uint64_t position;
  const Operation* operation;
};

// A question, and the positions whose state it may have been answered from.
struct Asked {
  const Operation* operation;
  uint64_t first;
  uint64_t last;
  std::optional<uint64_t> matched;
};

std::vector<Placed> Place(const std::vector<Journal::Entry>& records, const std::string& stream,
                          const std::vector<Operation>& operations) {
  std::map<std::string, uint64_t> positions;
  for (const Journal::Entry& entry : records) {
    eventlog::v1::Record record;
    BERTH_CHECK(record.ParseFromString(entry.record.bytes));
    if (!record.request_id().empty()) positions[record.request_id()] = record.position();
  }
  std::vector<Placed> placed;
  for (const Operation& operation : operations) {
    if (operation.stream != stream || !operation.IsCommand()) continue;
    const auto found = positions.find(operation.request_id);
    if (found != positions.end()) placed.push_back({found->second, &operation});
  }
  return placed;
}

Asked Bound(const Operation& question, const std::vector<Placed>& placed,
            const std::vector<Journal::Entry>& records) {
  const auto stored = std::partition_point(
      records.begin(), records.end(),
      [&question](const Journal::Entry& entry) { return entry.known <= *question.answered; });
  Asked asked{&question, 0, static_cast<uint64_t>(stored - records.begin()), std::nullopt};
  for (const Placed& command : placed) {
    const Operation& operation = *command.operation;
    if (operation.answered.has_value() && *operation.answered < question.called) {
      asked.first = std::max(asked.first, command.position);
    }
    if (operation.called > *question.answered) {
      asked.last = std::min(asked.last, command.position - 1);
    }
  }
  return asked;
}

}  // namespace

absl::Status CheckReads(
    const std::vector<Journal::Entry>& records, const std::string& stream,
    const std::vector<Operation>& operations, StreamModel* model,
    const std::function<absl::StatusOr<std::string>(const Operation&)>& answer) {
  const std::vector<Placed> placed = Place(records, stream, operations);
  std::vector<Asked> questions;
  for (const Operation& operation : operations) {
    if (operation.stream == stream && !operation.IsCommand() && operation.answered.has_value()) {
      questions.push_back(Bound(operation, placed, records));
    }
  }
  if (questions.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("stream ", stream, ": no question was answered, so nothing was checked"));
  }
  std::sort(questions.begin(), questions.end(), [](const Asked& one, const Asked& other) {
    return one.operation->called < other.operation->called;
  });
  // Each gets the first state that it can be from: a later one would only narrow what is left for
  // those that were asked after it.
  for (uint64_t position = 0; position <= records.size(); ++position) {
    if (position > 0) {
      eventlog::v1::Record record;
      BERTH_CHECK(record.ParseFromString(records[position - 1].record.bytes));
      model->Apply(record);
    }
    for (Asked& question : questions) {
      if (question.matched.has_value() || position < question.first || position > question.last) {
        continue;
      }
      const bool waits =
          std::any_of(questions.begin(), questions.end(), [&question](const Asked& other) {
            return !other.matched.has_value() &&
                   *other.operation->answered < question.operation->called;
          });
      if (waits) continue;
      const absl::StatusOr<std::string> expected = answer(*question.operation);
      const absl::StatusOr<std::string>& given = question.operation->answer;
      const bool same = given.ok() ? expected.ok() && *expected == *given
                                   : given.status().code() == expected.status().code() &&
                                         given.status().message() == expected.status().message();
      if (same) question.matched = position;
    }
  }
  for (const Asked& question : questions) {
    if (question.matched.has_value()) continue;
    return absl::InternalError(absl::StrCat(
        "stream ", stream, ": ", question.operation->method, " of ", question.operation->principal,
        ", asked at ", absl::FormatDuration(question.operation->called), ", was answered ",
        question.operation->answer.status().ToString(), " as no state between positions ",
        question.first, " and ", question.last, " says"));
  }
  return absl::OkStatus();
}

}  // namespace berth::simulation
