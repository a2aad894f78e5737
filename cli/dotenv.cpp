#include "cli/dotenv.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/ids/names.h"
#include "common/status/status_macros.h"

namespace berth::cli {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// What a backslash and this character mean; nullopt: nothing.
std::optional<char> Unescape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case '"':
    case '\\':
    case '$':
      return c;
    default:
      return std::nullopt;
  }
}

// Goes through the file where it is: nothing of a value is copied but into guarded memory.
class Reader {
 public:
  explicit Reader(absl::string_view text) : rest_(text) {}

  // False at the end; otherwise the reader is at the beginning of a name.
  bool NextEntry() {
    while (!rest_.empty()) {
      SkipBlanks();
      if (!rest_.empty() && rest_.front() != '\n' && rest_.front() != '#') return true;
      SkipLine();
    }
    return false;
  }

  absl::StatusOr<std::string> Name() {
    absl::ConsumePrefix(&rest_, "export ");
    SkipBlanks();
    const size_t end = rest_.find_first_of("=\n");
    if (end == absl::string_view::npos || rest_[end] != '=') return Mistake("is not NAME=VALUE");
    std::string name(absl::StripAsciiWhitespace(rest_.substr(0, end)));
    rest_.remove_prefix(end + 1);
    for (char& c : name) c = c == '_' ? '-' : absl::ascii_tolower(c);
    // What is no name may be a piece of a value, so it is not shown.
    if (!CheckName("a secret", name).ok()) {
      return Mistake("has a name that no secret can have; letters, digits and _ make one");
    }
    return name;
  }

  absl::StatusOr<SecretBytes> Value() {
    const size_t begin = std::min(rest_.find_first_not_of(" \t"), rest_.size());
    if (begin < rest_.size() && (rest_[begin] == '\'' || rest_[begin] == '"')) {
      rest_.remove_prefix(begin);
      return Quoted();
    }
    absl::string_view value = rest_.substr(0, rest_.find('\n'));
    value = value.substr(0, value.find(" #"));
    SecretBytes copy = SecretBytes::CopyOf(absl::StripAsciiWhitespace(value));
    SkipLine();
    return copy;
  }

  absl::Status Mistake(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat("line ", line_, " ", what));
  }

 private:
  void SkipBlanks() {
    while (!rest_.empty() && IsBlank(rest_.front())) rest_.remove_prefix(1);
  }

  void SkipLine() {
    const size_t end = rest_.find('\n');
    rest_.remove_prefix(end == absl::string_view::npos ? rest_.size() : end + 1);
    ++line_;
  }

  absl::StatusOr<SecretBytes> Quoted() {
    const char quote = rest_.front();
    rest_.remove_prefix(1);
    size_t end = 0;
    while (end < rest_.size() && rest_[end] != quote) {
      end += quote == '"' && rest_[end] == '\\' ? 2 : 1;
    }
    if (end >= rest_.size()) return Mistake("begins a value in quotes that does not end");
    SecretBytes value(end);
    size_t size = 0;
    for (size_t i = 0; i < end; ++i) {
      char c = rest_[i];
      if (c == '\n') ++line_;
      if (c == '\\' && quote == '"') {
        const std::optional<char> meant = Unescape(rest_[++i]);
        if (!meant.has_value()) {
          return Mistake("has a backslash before what needs none; single quotes keep it");
        }
        c = *meant;
      }
      value.data()[size++] = static_cast<uint8_t>(c);
    }
    value.Truncate(size);
    rest_.remove_prefix(end + 1);
    SkipBlanks();
    if (!rest_.empty() && rest_.front() != '\n' && rest_.front() != '#') {
      return Mistake("goes on after a value in quotes");
    }
    SkipLine();
    return value;
  }

  absl::string_view rest_;
  size_t line_ = 1;
};

}  // namespace

absl::StatusOr<std::vector<NamedValue>> ParseDotenv(const SecretBytes& text) {
  std::vector<NamedValue> secrets;
  std::set<std::string> names;
  Reader reader(text.view());
  while (reader.NextEntry()) {
    if (secrets.size() == kDotenvSecretsMax) {
      return reader.Mistake(absl::StrCat("is one secret more than the ", kDotenvSecretsMax,
                                         " that an environment may have"));
    }
    NamedValue& secret = secrets.emplace_back();
    BERTH_ASSIGN_OR_RETURN(secret.name, reader.Name());
    if (!names.insert(secret.name).second) {
      return reader.Mistake(absl::StrCat("gives ", secret.name, " a second value"));
    }
    BERTH_ASSIGN_OR_RETURN(secret.value, reader.Value());
  }
  return secrets;
}

}  // namespace berth::cli
