#pragma once

#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace berth {

// Structured log lines on stderr, one write(2) each:
//   2026-01-31T12:00:00.123Z info message="instance started" instance=web-1 host=a
// Safe from any thread. Never pass a secret: types that hold one do not convert to LogField.
enum class LogLevel { kDebug, kInfo, kWarning, kError };

// One key=value of a line. The value is quoted where it holds blanks or quotes.
struct LogField {
  LogField(absl::string_view field_key, const absl::AlphaNum& field_value)
      : key(field_key), value(field_value.Piece()) {}

  std::string key;
  std::string value;
};

// Lines below `level` are dropped from now on; the default is kInfo.
void SetLogLevel(LogLevel level);

void Log(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields = {});

inline void LogInfo(absl::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kInfo, message, fields);
}
inline void LogWarning(absl::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kWarning, message, fields);
}
inline void LogError(absl::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kError, message, fields);
}

// The line without its time, as Log writes it. Public for those who write elsewhere than stderr.
std::string FormatLogLine(LogLevel level, absl::string_view message,
                          std::initializer_list<LogField> fields);

}  // namespace berth
