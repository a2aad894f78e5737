#include "cli/errors.h"

#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/json.h"
#include "cli/wording.h"
#include "common/status/error_details.h"

namespace berth::cli {
namespace {

// In ErrorInfo's metadata.
constexpr char kActionKey[] = "action";

std::string CodeName(const absl::Status& status) { return absl::StatusCodeToString(status.code()); }

// A message may quote what a container or a registry said.
std::string PrintableLines(absl::string_view text) {
  return absl::StrJoin(
      absl::StrSplit(text, '\n'), "\n",
      [](std::string* line, absl::string_view part) { absl::StrAppend(line, Printable(part)); });
}

}  // namespace

absl::Status UsageError(absl::string_view what) {
  return WithReason(absl::InvalidArgumentError(what), kUsageReason);
}

absl::Status WithAction(const absl::Status& status, absl::string_view action) {
  std::map<std::string, std::string> metadata = ReasonMetadataOf(status);
  metadata[kActionKey] = std::string(action);
  return WithReason(status, ReasonOrCode(status), std::move(metadata));
}

std::string ActionFor(const absl::Status& status) {
  const std::map<std::string, std::string> metadata = ReasonMetadataOf(status);
  if (const auto action = metadata.find(kActionKey); action != metadata.end()) {
    return action->second;
  }
  switch (status.code()) {
    case absl::StatusCode::kUnauthenticated:
      return "sign in with `berth login`";
    case absl::StatusCode::kPermissionDenied:
      return "see who you are with `berth whoami`, and ask an admin of the org for the role";
    case absl::StatusCode::kUnavailable:
      return "see what is wrong with `berth doctor`; `berth up` starts Berth on this machine";
    case absl::StatusCode::kResourceExhausted:
      return "see what the hosts have with `berth host list`";
    default:
      return "";
  }
}

std::string ReasonOrCode(const absl::Status& status) {
  const std::string reason = ReasonOf(status);
  return reason.empty() ? CodeName(status) : reason;
}

std::string ErrorText(const absl::Status& status) {
  std::string text = absl::StrCat("error: ", PrintableLines(status.message()), "\n");
  for (const FieldViolation& violation : FieldViolationsOf(status)) {
    if (absl::StrContains(status.message(), violation.description)) continue;
    absl::StrAppend(&text, "  ", Printable(violation.field), ": ", Printable(violation.description),
                    "\n");
  }
  const std::string action = ActionFor(status);
  if (!action.empty()) absl::StrAppend(&text, "next: ", action, "\n");
  return text;
}

std::string ErrorDocument(const absl::Status& status) {
  Json fields = Json::array();
  for (const FieldViolation& violation : FieldViolationsOf(status)) {
    fields.push_back({{"field", violation.field}, {"description", violation.description}});
  }
  return Document("Error", {{"code", ReasonOrCode(status)},
                            {"grpcCode", CodeName(status)},
                            {"message", std::string(status.message())},
                            {"action", ActionFor(status)},
                            {"fields", fields}});
}

}  // namespace berth::cli
