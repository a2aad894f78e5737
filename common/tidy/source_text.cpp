#include "common/tidy/source_text.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace berth::tidy {
namespace {

bool IsWordCharacter(char c) { return absl::ascii_isalnum(c) || c == '_'; }

// Where the comment or literal that begins at `start` ends; `start` itself where none begins.
size_t EndOfProse(absl::string_view text, size_t start) {
  const absl::string_view rest = text.substr(start);
  const auto end_after = [&](absl::string_view mark, size_t from) {
    const size_t found = text.find(mark, from);
    return found == absl::string_view::npos ? text.size() : found + mark.size();
  };
  if (absl::StartsWith(rest, "//")) return std::min(text.find('\n', start), text.size());
  if (absl::StartsWith(rest, "/*")) return end_after("*/", start + 2);
  if (absl::StartsWith(rest, "R\"") && (start == 0 || !IsWordCharacter(text[start - 1]))) {
    const size_t open = std::min(text.find('(', start), text.size());
    return end_after(absl::StrCat(")", text.substr(start + 2, open - start - 2), "\""), open);
  }
  const char quote = rest[0];
  // In 1'000 the quote separates digits.
  const bool separates = quote == '\'' && start > 0 && IsWordCharacter(text[start - 1]);
  if ((quote != '"' && quote != '\'') || separates) return start;
  size_t end = start + 1;
  // A literal ends with its line: what follows an unbalanced quote is not lost.
  while (end < text.size() && text[end] != quote && text[end] != '\n') {
    end += text[end] == '\\' ? 2 : 1;
  }
  return std::min(end + 1, text.size());
}

}  // namespace

std::string CodeOnly(absl::string_view text) {
  std::string code(text);
  size_t position = 0;
  while (position < text.size()) {
    const size_t end = EndOfProse(text, position);
    for (size_t i = position; i < end; ++i) {
      if (code[i] != '\n') code[i] = ' ';
    }
    position = std::max(end, position + 1);
  }
  return code;
}

std::vector<absl::string_view> LinesOf(absl::string_view text) {
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  if (lines.back().empty()) lines.pop_back();
  return lines;
}

bool IsWordAt(absl::string_view text, size_t position, absl::string_view name) {
  const size_t end = position + name.size();
  return text.substr(position, name.size()) == name &&
         (position == 0 || !IsWordCharacter(text[position - 1])) &&
         (end == text.size() || !IsWordCharacter(text[end]));
}

bool HasWord(absl::string_view text, absl::string_view name) {
  size_t position = text.find(name);
  while (position != absl::string_view::npos) {
    if (IsWordAt(text, position, name)) return true;
    position = text.find(name, position + 1);
  }
  return false;
}

}  // namespace berth::tidy
