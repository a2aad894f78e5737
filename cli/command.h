#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/exit_code.h"

namespace berth::cli {

class Session;

// Takes a command's options and arguments from the command line into the fields of a struct, which
// keeps its initializers where the command line says nothing. `names` is as in "-f,--follow".
class Arguments {
 public:
  virtual ~Arguments() = default;

  virtual void Flag(const std::string& names, bool* value, const std::string& description) = 0;
  // `placeholder` is what help calls the value, such as REF.
  virtual void Option(const std::string& names, std::string* value, const std::string& placeholder,
                      const std::string& description) = 0;
  virtual void Option(const std::string& names, uint32_t* value, const std::string& placeholder,
                      const std::string& description) = 0;
  // Such as 90s or 5m.
  virtual void Option(const std::string& names, absl::Duration* value,
                      const std::string& placeholder, const std::string& description) = 0;
  virtual void Positional(const std::string& placeholder, std::string* value,
                          const std::string& description) = 0;
  virtual void RequiredPositional(const std::string& placeholder, std::string* value,
                                  const std::string& description) = 0;
  // Any number.
  virtual void Positionals(const std::string& placeholder, std::vector<std::string>* values,
                           const std::string& description) = 0;
  // One or more.
  virtual void RequiredPositionals(const std::string& placeholder, std::vector<std::string>* values,
                                   const std::string& description) = 0;
};

// One thing that `berth` does.
struct Command {
  // The words that name it, such as "release list".
  std::string name;
  // One line: what it does, without a full stop.
  std::string summary;
  // A command line that shows it, and what that does.
  std::string example;
  // Declares what it takes; empty where it takes nothing.
  std::function<void(Arguments*)> declare;
  std::function<absl::StatusOr<ExitCode>(Session*)> run;
};

// The line of help for words that only group commands, such as "release".
struct Group {
  std::string name;
  std::string summary;
};

}  // namespace berth::cli
