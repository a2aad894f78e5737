#include "common/manifest/quantity.h"

#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/yaml/findings.h"

namespace berth {
namespace {

struct Unit {
  absl::string_view name;
  uint64_t bytes;
};

constexpr Unit kUnits[] = {
    {"", 1},
    {"B", 1},
    {"KiB", uint64_t{1} << 10},
    {"MiB", uint64_t{1} << 20},
    {"GiB", uint64_t{1} << 30},
    {"TiB", uint64_t{1} << 40},
    {"kB", 1'000},
    {"MB", 1'000'000},
    {"GB", 1'000'000'000},
    {"TB", 1'000'000'000'000},
};

bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }

absl::Status Refused(absl::string_view text, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(yaml::Quoted(text), " ", what));
}

}  // namespace

absl::StatusOr<uint64_t> ParseSize(absl::string_view text) {
  const size_t digits = std::find_if_not(text.begin(), text.end(), IsDigit) - text.begin();
  const absl::string_view unit_name = text.substr(digits);
  uint64_t number = 0;
  if (digits == 0 || !absl::SimpleAtoi(text.substr(0, digits), &number)) {
    return Refused(text, "is not a size; write one such as 256MiB");
  }
  for (const Unit& unit : kUnits) {
    if (unit.name != unit_name) continue;
    if (number > std::numeric_limits<uint64_t>::max() / unit.bytes) {
      return Refused(text, "is more than any machine has");
    }
    return number * unit.bytes;
  }
  if (unit_name[0] == '.') return Refused(text, "is not a whole number; use a smaller unit");
  // 256M and 256Mi mean different things to different tools.
  if (unit_name.size() <= 2 && absl::ascii_toupper(unit_name[0]) != 'B') {
    const char prefix = absl::ascii_toupper(unit_name[0]);
    const absl::string_view prefixes = "KMGT";
    if (prefixes.find(prefix) != absl::string_view::npos) {
      return Refused(text, absl::StrCat("has no known unit; write ", number,
                                        absl::string_view(&prefix, 1), "iB"));
    }
  }
  return Refused(text, "has no known unit; use KiB, MiB, GiB or kB, MB, GB");
}

absl::StatusOr<uint32_t> ParseCpu(absl::string_view text) {
  constexpr size_t kDigitsMax = 6;
  constexpr absl::string_view kExpected = "is not an amount of CPU; write one such as 500m or 0.5";
  const auto is_number = [](absl::string_view digits) {
    return !digits.empty() && digits.size() <= kDigitsMax &&
           std::all_of(digits.begin(), digits.end(), IsDigit);
  };
  const auto number = [](absl::string_view digits) {
    uint32_t value = 0;
    for (const char c : digits) value = value * 10 + static_cast<uint32_t>(c - '0');
    return value;
  };
  absl::string_view digits = text;
  if (absl::ConsumeSuffix(&digits, "m")) {
    if (!is_number(digits)) return Refused(text, kExpected);
    return number(digits);
  }
  const size_t point = text.find('.');
  const absl::string_view whole = text.substr(0, point);
  if (!is_number(whole)) return Refused(text, kExpected);
  if (point == absl::string_view::npos) return number(whole) * 1000;
  std::string fraction(text.substr(point + 1));
  if (!is_number(fraction)) return Refused(text, kExpected);
  if (fraction.size() > 3) return Refused(text, "is finer than a thousandth of a CPU");
  fraction.resize(3, '0');
  return number(whole) * 1000 + number(fraction);
}

}  // namespace berth
