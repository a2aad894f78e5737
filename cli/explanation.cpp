#include "cli/explanation.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/output.h"
#include "cli/wording.h"

namespace berth::cli {
namespace {

constexpr char kHolds[] = "\u2713";
constexpr char kDoesNotHold[] = "\u2717";

std::string RecordText(const types::v1::RecordReference& record, absl::Time now) {
  std::string text = record.actor().empty() ? record.stream() : record.actor();
  const std::string age = AgeText(record.time(), now);
  if (!age.empty()) absl::StrAppend(&text, ", ", age, " ago");
  if (record.position() != 0) {
    absl::StrAppend(&text, " (", record.stream(), "/", record.position(), ")");
  }
  return text;
}

}  // namespace

std::string ExplanationText(const scheduler::v1::WhyResponse& why, absl::Time now) {
  Table table;
  for (const scheduler::v1::Predicate& predicate : why.predicates()) {
    table.rows.push_back({predicate.holds() ? kHolds : kDoesNotHold, predicate.id(),
                          absl::StrCat(predicate.object().kind(), " ", predicate.object().name()),
                          predicate.sentence()});
  }
  table.headings = {"", "PREDICATE", "OBJECT", "WHAT IS SO"};
  std::string text = RenderTable(table);
  if (why.converged() || why.predicates().empty()) {
    return absl::StrCat(text, "\nAll is as it should be.\n");
  }
  const scheduler::v1::Predicate& wrong = *why.predicates().rbegin();
  absl::StrAppend(&text, "\n", Printable(wrong.sentence()), "\n");
  if (wrong.has_record()) {
    absl::StrAppend(&text, "  by    ", Printable(RecordText(wrong.record(), now)), "\n");
  }
  return absl::StrCat(
      text, "  next  ",
      wrong.next().empty() ? "wait: nothing has to be done" : Printable(wrong.next()), "\n");
}

ExitCode ExitCodeFor(const scheduler::v1::WhyResponse& why) {
  if (why.converged()) return ExitCode::kSuccess;
  return why.ready() > 0 ? ExitCode::kDegraded : ExitCode::kDown;
}

}  // namespace berth::cli
