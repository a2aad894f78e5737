#include "common/yaml/findings.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/text/utf8.h"

namespace berth::yaml {

void Findings::Add(Place place, absl::string_view path, absl::string_view what) {
  ++count_;
  std::string text = absl::StrCat(file_name_, ":", place.line, ":", place.column, ": ", path,
                                  path.empty() ? "" : ": ", what);
  // The first is listed whatever its length, so that no error is empty.
  const bool room = findings_.size() < kFindingsMax && bytes_ + text.size() <= kFindingsBytesMax;
  if (!findings_.empty() && !room) return;
  bytes_ += text.size();
  findings_.push_back({place, std::string(path), std::move(text)});
}

absl::Status Findings::ToStatus() const {
  if (empty()) return absl::OkStatus();
  std::vector<Finding> listed = findings_;
  std::stable_sort(listed.begin(), listed.end(), [](const Finding& a, const Finding& b) {
    return std::tie(a.place.line, a.place.column) < std::tie(b.place.line, b.place.column);
  });
  std::string message = absl::StrJoin(listed, "\n", [](std::string* out, const Finding& finding) {
    absl::StrAppend(out, finding.text);
  });
  if (count_ > listed.size()) {
    absl::StrAppend(&message, "\n", file_name_, ": ", count_ - listed.size(), " more not shown");
  }
  std::vector<FieldViolation> violations;
  violations.reserve(listed.size());
  for (const Finding& finding : listed) violations.push_back({finding.path, finding.text});
  return WithFieldViolations(absl::InvalidArgumentError(message), violations);
}

std::string Quoted(absl::string_view text) {
  constexpr size_t kShownBytesMax = 40;
  const absl::string_view shown = CutUtf8(text, kShownBytesMax);
  return absl::StrCat("\"", absl::Utf8SafeCEscape(shown),
                      shown.size() < text.size() ? "…\"" : "\"");
}

}  // namespace berth::yaml
