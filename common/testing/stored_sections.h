#pragma once

#include <fstream>
#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/crypto/hash.h"

namespace berth::testing {

// A section of a file of stored messages (protos/berth/*/v1/stored_*.txt): "[NAME]", lines of
// hexadecimal, and an empty line before what they say.
struct StoredSection {
  std::string bytes;
  std::string text;
};

inline std::map<std::string, StoredSection> ReadStoredSections(const std::string& path) {
  std::map<std::string, StoredSection> sections;
  std::ifstream file(path);
  StoredSection* section = nullptr;
  bool in_text = false;
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, "#")) continue;
    if (absl::StartsWith(line, "[")) {
      section = &sections[line.substr(1, line.size() - 2)];
      in_text = false;
    } else if (section != nullptr && line.empty()) {
      in_text = true;
    } else if (section != nullptr) {
      absl::StrAppend(in_text ? &section->text : &section->bytes, line, in_text ? "\n" : "");
    }
  }
  for (auto& [name, each] : sections) each.bytes = HexDecode(each.bytes).value();
  return sections;
}

}  // namespace berth::testing
