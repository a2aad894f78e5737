#include "agent/secrets/secrets_file.h"

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/crypto/hash.h"
#include "common/status/status_macros.h"
#include "common/text/utf8.h"

namespace berth::agent {
namespace {

constexpr absl::string_view kFirstLine = "# berth-secrets v1\n";
constexpr absl::string_view kDigestMark = "# sha256:";
constexpr size_t kDigestDigits = 64;

// What stands for a character between the quotes; empty: the character itself.
absl::string_view EscapeOf(char c) {
  switch (c) {
    case '\n':
      return "\\n";
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '$':
      return "\\$";
    default:
      return "";
  }
}

size_t EscapedSize(absl::string_view value) {
  size_t size = value.size();
  for (const char c : value) size += EscapeOf(c).empty() ? 0 : 1;
  return size;
}

absl::Status CheckValue(const std::string& name, absl::string_view value) {
  for (absl::string_view rest = value; !rest.empty();) {
    if (rest.front() == '\0') {
      return absl::InvalidArgumentError(
          absl::StrCat("secret ", name, " has a zero byte, which no line of text can hold; put it ",
                       "encoded, such as base64"));
    }
    const size_t size = Utf8CharacterSize(rest);
    if (size == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("secret ", name, " is not UTF-8 text; put it encoded, such as base64"));
    }
    rest.remove_prefix(size);
  }
  return absl::OkStatus();
}

// Writes into memory that was made as large as all of it.
class Writer {
 public:
  explicit Writer(SecretBytes* bytes) : bytes_(bytes) {}

  void Put(absl::string_view text) {
    BERTH_CHECK(text.size() <= bytes_->size() - size_);
    std::memcpy(bytes_->data() + size_, text.data(), text.size());
    size_ += text.size();
  }

  void PutEscaped(absl::string_view value) {
    for (const char& c : value) {
      const absl::string_view escape = EscapeOf(c);
      Put(escape.empty() ? absl::string_view(&c, 1) : escape);
    }
  }

  absl::string_view written() const { return bytes_->view().substr(0, size_); }

 private:
  SecretBytes* const bytes_;
  size_t size_ = 0;
};

}  // namespace

std::string VariableOf(absl::string_view secret) {
  std::string variable = absl::AsciiStrToUpper(secret);
  for (char& c : variable) {
    if (c == '-') c = '_';
  }
  return variable;
}

absl::StatusOr<SecretBytes> RenderSecretsFile(
    const std::map<std::string, absl::string_view>& values) {
  std::map<std::string, absl::string_view> lines;  // By variable: another order than by name.
  size_t size = kFirstLine.size() + kDigestMark.size() + kDigestDigits + 1;
  for (const auto& [name, value] : values) {
    BERTH_RETURN_IF_ERROR(CheckValue(name, value));
    const std::string variable = VariableOf(name);
    lines[variable] = value;
    size += variable.size() + EscapedSize(value) + sizeof("=\"\"");  // And the line's end.
  }
  SecretBytes file(size);
  Writer writer(&file);
  writer.Put(kFirstLine);
  for (const auto& [variable, value] : lines) {
    writer.Put(variable);
    writer.Put("=\"");
    writer.PutEscaped(value);
    writer.Put("\"\n");
  }
  const std::string digest = HexEncode(Sha256(writer.written()));
  writer.Put(kDigestMark);
  writer.Put(digest);
  writer.Put("\n");
  BERTH_CHECK(writer.written().size() == file.size());
  return file;
}

}  // namespace berth::agent
