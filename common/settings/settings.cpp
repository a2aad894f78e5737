#include "common/settings/settings.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace berth {
namespace {

constexpr size_t kListItemsMax = 1000;

// What is left of a section that is absent: an empty mapping where its parent stands.
std::unique_ptr<yaml::Node> EmptyMapping(yaml::Place place) {
  auto node = std::make_unique<yaml::Node>();
  node->kind = yaml::Node::Kind::kMapping;
  node->place = place;
  return node;
}

void Assign(const std::optional<yaml::Value>& value, std::string* setting) {
  if (!value.has_value()) return;
  if (auto text = value->Word()) *setting = *std::move(text);
}

void Assign(const std::optional<yaml::Value>& value, bool* setting) {
  if (!value.has_value()) return;
  if (const auto boolean = value->Boolean()) *setting = *boolean;
}

void Assign(const std::optional<yaml::Value>& value, absl::Duration* setting, absl::Duration min,
            absl::Duration max) {
  if (!value.has_value()) return;
  if (const auto duration = value->Duration(min, max)) *setting = *duration;
}

void Assign(const std::optional<yaml::Value>& value, std::vector<std::string>* setting) {
  if (!value.has_value()) return;
  std::vector<std::string> texts;
  for (const yaml::Value& item : value->Items(kListItemsMax)) {
    auto text = item.Word();
    if (!text.has_value()) return;
    texts.push_back(*std::move(text));
  }
  if (value->IsSequence()) *setting = std::move(texts);
}

}  // namespace

absl::StatusOr<std::string> ReadSettingsFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": ", std::strerror(errno)));
  std::string text(kSettingsBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kSettingsBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": has more than ", kSettingsBytesMax, " bytes"));
  }
  return text;
}

SettingsReader::SettingsReader(absl::string_view yaml, absl::string_view file_name)
    : findings_(std::make_unique<yaml::Findings>(file_name)) {
  auto document = yaml::ParseStrict(yaml, kSettingsBytesMax, findings_.get());
  if (!document.has_value()) return;
  document_ = document->kind == yaml::Node::Kind::kNull
                  ? EmptyMapping({})
                  : std::make_unique<yaml::Node>(*std::move(document));
  value_.emplace(*document_, "", findings_.get());
  fields_.emplace(value_);
}

SettingsReader::SettingsReader(const yaml::Value& value) : value_(value), fields_(value) {}

void SettingsReader::Required(absl::string_view name, std::string* setting) {
  Assign(RequiredValue(name), setting);
}
void SettingsReader::Optional(absl::string_view name, std::string* setting) {
  Assign(OptionalValue(name), setting);
}

void SettingsReader::Required(absl::string_view name, bool* setting) {
  Assign(RequiredValue(name), setting);
}
void SettingsReader::Optional(absl::string_view name, bool* setting) {
  Assign(OptionalValue(name), setting);
}

void SettingsReader::Required(absl::string_view name, absl::Duration* setting, absl::Duration min,
                              absl::Duration max) {
  Assign(RequiredValue(name), setting, min, max);
}
void SettingsReader::Optional(absl::string_view name, absl::Duration* setting, absl::Duration min,
                              absl::Duration max) {
  Assign(OptionalValue(name), setting, min, max);
}

void SettingsReader::Required(absl::string_view name, std::vector<std::string>* setting) {
  Assign(RequiredValue(name), setting);
}
void SettingsReader::Optional(absl::string_view name, std::vector<std::string>* setting) {
  Assign(OptionalValue(name), setting);
}

void SettingsReader::Choice(absl::string_view name, std::string* setting,
                            std::initializer_list<absl::string_view> words) {
  const auto value = OptionalValue(name);
  if (!value.has_value()) return;
  if (const auto index = value->Choice(words)) *setting = std::string(words.begin()[*index]);
}

SettingsReader& SettingsReader::Section(absl::string_view name) {
  if (SettingsReader* section = OptionalSection(name)) return *section;
  if (!value_.has_value()) {
    sections_.push_back(std::unique_ptr<SettingsReader>(new SettingsReader("", "")));
    return *sections_.back();
  }
  std::unique_ptr<yaml::Node> empty = EmptyMapping(value_->node().place);
  const yaml::Value value = value_->Child(name, *empty);
  sections_.push_back(std::unique_ptr<SettingsReader>(new SettingsReader(value)));
  sections_.back()->document_ = std::move(empty);
  return *sections_.back();
}

SettingsReader* SettingsReader::OptionalSection(absl::string_view name) {
  const auto value = OptionalValue(name);
  if (!value.has_value()) return nullptr;
  sections_.push_back(std::unique_ptr<SettingsReader>(new SettingsReader(*value)));
  return sections_.back().get();
}

void SettingsReader::Refuse(absl::string_view name, absl::string_view what) {
  if (!fields_.has_value()) return;
  const auto value = OptionalValue(name);
  if (value.has_value()) {
    value->Refuse(what);
  } else {
    fields_->Refuse(absl::StrCat(name, " ", what));
  }
}

absl::Status SettingsReader::Finish() {
  RefuseUnknown();
  return findings_->ToStatus();
}

std::optional<yaml::Value> SettingsReader::RequiredValue(absl::string_view name) {
  return fields_.has_value() ? fields_->Required(name) : std::nullopt;
}

std::optional<yaml::Value> SettingsReader::OptionalValue(absl::string_view name) {
  return fields_.has_value() ? fields_->Optional(name) : std::nullopt;
}

std::optional<int64_t> SettingsReader::Integer(const std::optional<yaml::Value>& value, int64_t min,
                                               int64_t max) {
  return value.has_value() ? value->Integer(min, max) : std::nullopt;
}

void SettingsReader::RefuseUnknown() const {
  if (fields_.has_value()) fields_->RefuseUnknown();
  for (const auto& section : sections_) section->RefuseUnknown();
}

}  // namespace berth
