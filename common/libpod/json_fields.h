#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace berth {

// Reading JSON that another program wrote: what is missing or of another type reads as empty, so
// that a new version of that program never takes the agent down.

inline const nlohmann::json& FieldOf(const nlohmann::json& object, const char* key) {
  static const nlohmann::json kNothing;
  const auto found = object.find(key);  // The end where `object` is none.
  return found == object.end() ? kNothing : *found;
}

inline std::string StringOf(const nlohmann::json& object, const char* key) {
  const nlohmann::json& field = FieldOf(object, key);
  return field.is_string() ? field.get<std::string>() : "";
}

inline int64_t IntegerOf(const nlohmann::json& object, const char* key) {
  const nlohmann::json& field = FieldOf(object, key);
  return field.is_number() ? field.get<int64_t>() : 0;
}

inline bool BoolOf(const nlohmann::json& object, const char* key) {
  const nlohmann::json& field = FieldOf(object, key);
  return field.is_boolean() && field.get<bool>();
}

}  // namespace berth
