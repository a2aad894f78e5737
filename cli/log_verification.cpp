#include "cli/log_verification.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/crypto/hash.h"

namespace berth::cli {
namespace {

// As many digits as a person compares.
constexpr size_t kShortHashDigits = 16;

std::string Words(const LogVerification& verification) {
  if (!verification.found.ok()) return std::string(verification.found.message());
  std::string words = "chained";
  if (verification.cut_position != 0) {
    absl::StrAppend(&words, " (what came before record ", verification.cut_position + 1,
                    " was cut off)");
  }
  if (verification.snapshot_position != 0) {
    absl::StrAppend(&words, verification.with_served_state ? ", " : " and ",
                    "gives the snapshot at ", verification.snapshot_position);
  }
  if (verification.with_served_state)
    absl::StrAppend(&words, " and gives the state that is served");
  return words;
}

}  // namespace

ExitCode Show(const std::vector<LogVerification>& verifications, const Output& output) {
  Json items = Json::array();
  Table table = {{"SERVICE", "VERDICT", "RECORDS", "HASH", "FOUND"}, {}};
  bool all_well = true;
  for (const LogVerification& verification : verifications) {
    const bool well = verification.found.ok();
    all_well = all_well && well;
    const std::string hash = HexEncode(verification.hash);
    const char* const verdict = well ? "ok" : "fail";
    items.push_back({{"service", verification.service},
                     {"verdict", verdict},
                     {"cutPosition", absl::StrCat(verification.cut_position)},
                     {"position", absl::StrCat(verification.position)},
                     {"hash", hash},
                     {"snapshotPosition", absl::StrCat(verification.snapshot_position)},
                     {"withServedState", verification.with_served_state},
                     {"found", Words(verification)}});
    table.rows.push_back({verification.service, verdict, absl::StrCat(verification.position),
                          hash.substr(0, kShortHashDigits), Words(verification)});
  }
  output.List("LogVerificationList", items, table, "no log was verified");
  return all_well ? ExitCode::kSuccess : ExitCode::kFailure;
}

}  // namespace berth::cli
