#include "common/manifest/manifest_values.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/ids/names.h"
#include "common/manifest/quantity.h"

namespace berth {
namespace {

constexpr size_t kCommandItemsMax = 200;
constexpr uint64_t kMemoryBytesMin = uint64_t{4} << 20;
constexpr uint64_t kMemoryBytesMax = uint64_t{16} << 40;
constexpr uint32_t kCpuMilliMax = 1024 * 1000;

constexpr char kNameRule[] =
    "is not a name; use lower-case letters, digits and dashes, starting with a letter";

}  // namespace

bool IsManifestName(absl::string_view text) { return CheckName("name", text).ok(); }

void CheckName(const yaml::NamedValue& entry, size_t bytes_max) {
  if (entry.name.size() > bytes_max) {
    entry.RefuseName(absl::StrCat("has a name longer than ", bytes_max, " characters"));
  } else if (!IsManifestName(entry.name)) {
    entry.RefuseName(absl::StrCat(yaml::Quoted(entry.name), " ", kNameRule));
  }
}

std::optional<std::string> ReadName(const yaml::Value& value) {
  auto name = value.Word("a name");
  if (!name.has_value() || IsManifestName(*name)) return name;
  value.Refuse(absl::StrCat(yaml::Quoted(*name), " ", kNameRule));
  return std::nullopt;
}

std::optional<std::string> ReadVerbatim(const yaml::Value& value) {
  auto text = value.Text();
  if (!text.has_value() || !absl::StrContains(*text, "${{")) return text;
  value.Refuse("holds ${{, and nothing is filled in here");
  return std::nullopt;
}

std::vector<std::string> ReadCommand(const yaml::Value& value, size_t items_min) {
  std::vector<std::string> command;
  if (value.IsScalar()) {
    value.Refuse("is a text, not a list; write [\"program\", \"argument\"]");
    return command;
  }
  for (const yaml::Value& item : value.Items(kCommandItemsMax)) {
    const bool program = command.empty();
    if (program && item.IsScalar() && item.node().scalar.empty()) item.Refuse("is empty");
    command.push_back(ReadVerbatim(item).value_or(""));
  }
  if (value.IsSequence() && value.node().items.size() < items_min) value.Refuse("is empty");
  return command;
}

std::optional<uint64_t> ReadMemory(const yaml::Value& value) {
  const auto text = value.Word("a size such as 256MiB");
  if (!text.has_value()) return std::nullopt;
  const auto bytes = ParseSize(*text);
  if (!bytes.ok()) {
    value.Refuse(bytes.status().message());
  } else if (*bytes < kMemoryBytesMin && *text == absl::StrCat(*bytes)) {
    value.Refuse(absl::StrCat(yaml::Quoted(*text), " is a size in bytes, and less than 4MiB; did ",
                              "you mean ", *text, "MiB?"));
  } else if (*bytes < kMemoryBytesMin) {
    value.Refuse(absl::StrCat(yaml::Quoted(*text), " is less than 4MiB"));
  } else if (*bytes > kMemoryBytesMax) {
    value.Refuse(absl::StrCat(yaml::Quoted(*text), " is more than 16TiB"));
  } else {
    return *bytes;
  }
  return std::nullopt;
}

std::optional<uint32_t> ReadCpu(const yaml::Value& value) {
  const auto text = value.Word("an amount of CPU such as 500m or 0.5");
  if (!text.has_value()) return std::nullopt;
  const auto milli = ParseCpu(*text);
  if (!milli.ok()) {
    value.Refuse(milli.status().message());
  } else if (*milli == 0) {
    value.Refuse(absl::StrCat(yaml::Quoted(*text), " is less than 1m"));
  } else if (*milli > kCpuMilliMax) {
    value.Refuse(absl::StrCat(yaml::Quoted(*text), " is more than 1024 CPUs"));
  } else {
    return *milli;
  }
  return std::nullopt;
}

std::optional<uint32_t> ReadNumber(const yaml::Value& value, uint32_t min, uint32_t max) {
  const auto number = value.Integer(min, max);
  if (!number.has_value()) return std::nullopt;
  return static_cast<uint32_t>(*number);
}

void ReadDuration(const std::optional<yaml::Value>& value, absl::Duration min, absl::Duration max,
                  absl::Duration otherwise, google::protobuf::Duration* duration) {
  absl::Duration read = otherwise;
  if (value.has_value()) read = value->Duration(min, max).value_or(otherwise);
  duration->set_seconds(absl::IDivDuration(read, absl::Seconds(1), &read));
  duration->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(read)));
}

}  // namespace berth
