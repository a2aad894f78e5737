#include "common/ids/names.h"

#include "absl/strings/str_cat.h"
#include "common/text/utf8.h"

namespace berth {
namespace {

constexpr size_t kNameSizeMax = 63;

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

absl::Status CheckName(absl::string_view what, absl::string_view name) {
  bool valid =
      !name.empty() && name.size() <= kNameSizeMax && IsLower(name.front()) && name.back() != '-';
  for (const char c : name) valid = valid && (IsLower(c) || IsDigit(c) || c == '-');
  if (valid) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      what, " \"", CutUtf8(name, kNameSizeMax), "\" is not a valid name: use up to ", kNameSizeMax,
      " lower-case letters, digits and dashes, beginning with a letter, not ending with a dash"));
}

std::string ToString(const types::v1::EnvironmentName& name) {
  return absl::StrCat(name.org(), "/", name.app(), "/", name.env());
}

}  // namespace berth
