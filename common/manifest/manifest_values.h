#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/yaml/value.h"
#include "google/protobuf/duration.pb.h"

namespace berth {

// Readers for the kinds of values a manifest has beside yaml::Value's own. As there, a wrong value
// is a finding and gives nothing.

// Whether the text may name a thing in a manifest: a DNS label that starts with a letter.
bool IsManifestName(absl::string_view text);

// Adds a finding at the name of `entry` when it is no name, or longer than `bytes_max`.
void CheckName(const yaml::NamedValue& entry, size_t bytes_max = 63);

// A name as a value.
std::optional<std::string> ReadName(const yaml::Value& value);

// A text that Berth passes on as it is. ${{ is refused in it: it would look like something that is
// filled in, and nothing is.
std::optional<std::string> ReadVerbatim(const yaml::Value& value);

// Program and arguments, `items_min` at least.
std::vector<std::string> ReadCommand(const yaml::Value& value, size_t items_min);

// Bytes, thousandths of a CPU, and a number that fits where it is put.
std::optional<uint64_t> ReadMemory(const yaml::Value& value);
std::optional<uint32_t> ReadCpu(const yaml::Value& value);
std::optional<uint32_t> ReadNumber(const yaml::Value& value, uint32_t min, uint32_t max);

// Sets `duration` to the value, or where it is absent to `otherwise`.
void ReadDuration(const std::optional<yaml::Value>& value, absl::Duration min, absl::Duration max,
                  absl::Duration otherwise, google::protobuf::Duration* duration);

}  // namespace berth
