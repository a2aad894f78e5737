#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/yaml/findings.h"
#include "common/yaml/value.h"

namespace berth {

// What a settings file may hold, in bytes.
inline constexpr size_t kSettingsBytesMax = size_t{64} * 1024;

// Reads a settings file whole. kNotFound and kInvalidArgument (too large) name the path.
absl::StatusOr<std::string> ReadSettingsFile(const std::string& path);

// Takes a daemon's settings out of YAML, one by one, into the fields of a struct:
//
//   SettingsReader reader(text, "agent.yaml");
//   reader.Required("server", &settings.server);
//   reader.Optional("port", &settings.port, 1, 65535);
//   reader.Section("podman").Optional("socket", &settings.podman_socket);
//   BERTH_RETURN_IF_ERROR(reader.Finish());
//
// An optional setting that is absent leaves its field alone, so the struct's initializers are the
// defaults. Nothing is reported before Finish, which then names every mistake with file, line and
// column. A field whose value is refused keeps what it had.
class SettingsReader {
 public:
  // An empty text is an empty mapping.
  SettingsReader(absl::string_view yaml, absl::string_view file_name);

  SettingsReader(const SettingsReader&) = delete;
  SettingsReader& operator=(const SettingsReader&) = delete;

  // Text is taken as it is written and must not be empty.
  void Required(absl::string_view name, std::string* setting);
  void Optional(absl::string_view name, std::string* setting);

  // true or false, no other spelling.
  void Required(absl::string_view name, bool* setting);
  void Optional(absl::string_view name, bool* setting);

  // Whole numbers from `min` to `max`.
  template <std::integral T>
  void Required(absl::string_view name, T* setting, std::type_identity_t<T> min,
                std::type_identity_t<T> max) {
    if (const auto number = Integer(RequiredValue(name), min, max)) *setting = T(*number);
  }
  template <std::integral T>
  void Optional(absl::string_view name, T* setting, std::type_identity_t<T> min,
                std::type_identity_t<T> max) {
    if (const auto number = Integer(OptionalValue(name), min, max)) *setting = T(*number);
  }

  // Durations such as 1h30m or 500ms, from `min` to `max`.
  void Required(absl::string_view name, absl::Duration* setting,
                absl::Duration min = absl::ZeroDuration(),
                absl::Duration max = absl::InfiniteDuration());
  void Optional(absl::string_view name, absl::Duration* setting,
                absl::Duration min = absl::ZeroDuration(),
                absl::Duration max = absl::InfiniteDuration());

  // Lists of texts, none of them empty.
  void Required(absl::string_view name, std::vector<std::string>* setting);
  void Optional(absl::string_view name, std::vector<std::string>* setting);

  // One of the given words; where it is absent, the field is left alone.
  void Choice(absl::string_view name, std::string* setting,
              std::initializer_list<absl::string_view> words);

  // The mapping under `name`; where it is absent, an empty one. The reader belongs to this one, and
  // this one's Finish covers it.
  SettingsReader& Section(absl::string_view name);
  // The same, or null where it is absent.
  SettingsReader* OptionalSection(absl::string_view name);

  // Adds a mistake that only the caller can see, at the setting `name` or, where that is absent, at
  // the mapping it belongs in.
  void Refuse(absl::string_view name, absl::string_view what);

  // kInvalidArgument with every mistake as a field violation; settings nobody asked for are among
  // them. Call it once, on the outermost reader, when everything has been asked for.
  absl::Status Finish();

 private:
  explicit SettingsReader(const yaml::Value& value);

  std::optional<yaml::Value> RequiredValue(absl::string_view name);
  std::optional<yaml::Value> OptionalValue(absl::string_view name);
  static std::optional<int64_t> Integer(const std::optional<yaml::Value>& value, int64_t min,
                                        int64_t max);
  void RefuseUnknown() const;

  // Of the outermost reader; the sections' values point into them.
  std::unique_ptr<yaml::Findings> findings_;
  std::unique_ptr<yaml::Node> document_;
  // Nothing where the text could not be read at all.
  std::optional<yaml::Value> value_;
  std::optional<yaml::Fields> fields_;
  std::vector<std::unique_ptr<SettingsReader>> sections_;
};

}  // namespace berth
