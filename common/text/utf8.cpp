#include "common/text/utf8.h"

#include <cstdint>

namespace berth {
namespace {

constexpr char kReplacement[] = "\xef\xbf\xbd";

bool Continues(char c) { return (c & 0xc0) == 0x80; }

}  // namespace

size_t Utf8CharacterSize(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  size_t size = 0;
  uint32_t character = 0;
  if (byte(0) < 0x80) return 1;
  if (byte(0) >= 0xc2 && byte(0) < 0xe0) size = 2, character = byte(0) & 0x1f;
  if (byte(0) >= 0xe0 && byte(0) < 0xf0) size = 3, character = byte(0) & 0x0f;
  if (byte(0) >= 0xf0 && byte(0) < 0xf5) size = 4, character = byte(0) & 0x07;
  if (size == 0 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if (!Continues(text[i])) return 0;
    character = character << 6 | (byte(i) & 0x3f);
  }
  if (size == 3 && (character < 0x800 || (character >= 0xd800 && character < 0xe000))) return 0;
  if (size == 4 && (character < 0x10000 || character > 0x10ffff)) return 0;
  return size;
}

std::string ToUtf8(absl::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const size_t size = Utf8CharacterSize(bytes);
    if (size == 0) {
      text += kReplacement;
      bytes.remove_prefix(1);
    } else {
      text.append(bytes.data(), size);
      bytes.remove_prefix(size);
    }
  }
  return text;
}

absl::string_view CutUtf8(absl::string_view text, size_t size_max) {
  if (text.size() <= size_max) return text;
  while (size_max > 0 && Continues(text[size_max])) --size_max;
  return text.substr(0, size_max);
}

}  // namespace berth
