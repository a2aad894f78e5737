#include "common/tidy/rules.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/tidy/source_text.h"

namespace berth::tidy {
namespace {

constexpr size_t kColumnsMax = 100;

bool IsCpp(absl::string_view path) {
  return absl::EndsWith(path, ".h") || absl::EndsWith(path, ".cpp");
}

bool IsUnder(absl::string_view path, absl::string_view folder) {
  return absl::StartsWith(path, folder);
}

template <typename Prefixes>
bool IsUnderAny(absl::string_view path, const Prefixes& prefixes) {
  return std::any_of(std::begin(prefixes), std::end(prefixes),
                     [&](absl::string_view prefix) { return absl::StartsWith(path, prefix); });
}

absl::string_view FolderOf(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? "" : path.substr(0, slash);
}

absl::string_view NameOf(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

size_t Columns(absl::string_view line) {
  // UTF-8: a byte of the form 10xxxxxx continues a character.
  return static_cast<size_t>(
      std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// What a line of C++ includes, without quotes or brackets; empty where it includes nothing.
absl::string_view IncludedBy(absl::string_view line) {
  if (!absl::ConsumePrefix(&line, "#include ")) return "";
  const size_t end = line.find_first_of("\">", 1);
  return end == absl::string_view::npos ? "" : line.substr(1, end - 1);
}

// "services/auth/" for "services/auth/state.h"; empty where it is no service's file.
absl::string_view ServiceOf(absl::string_view path) {
  if (!IsUnder(path, "services/")) return "";
  const size_t end = path.find('/', sizeof("services/") - 1);
  return end == absl::string_view::npos ? "" : path.substr(0, end + 1);
}

// Decisions that are replayed, simulated or fuzzed: they get time, chance and ids as arguments.
bool IsPure(absl::string_view path) {
  const absl::string_view name = NameOf(path);
  const absl::string_view stem = name.substr(0, name.rfind('.'));
  return stem == "state" || (absl::StartsWith(stem, "state_") && !absl::EndsWith(stem, "_test")) ||
         stem == "reconcile" || stem == "feasibility" || stem == "explain" ||
         stem == "client_hello";
}

std::string WhyNotIncluded(absl::string_view path, absl::string_view included) {
  constexpr absl::string_view kImpure[] = {"grpcpp/", "grpc/",  "pqxx/",  "pqxx",
                                           "thread",  "chrono", "random", "common/log/log.h"};
  constexpr absl::string_view kAboveCommon[] = {"services/", "agent/", "edge/", "cli/",
                                                "integration/"};
  for (const absl::string_view impure : kImpure) {
    const bool matches =
        absl::EndsWith(impure, "/") ? IsUnder(included, impure) : included == impure;
    if (IsPure(path) && matches) return "a pure file gets what it needs as arguments";
  }
  if (IsUnder(path, "common/") && IsUnderAny(included, kAboveCommon)) {
    return "common/ includes nothing that is built on it";
  }
  const absl::string_view service = ServiceOf(path);
  const absl::string_view other = ServiceOf(included);
  if (!service.empty() && service != "services/server/" && !other.empty() && other != service) {
    return "a service knows another by its protos only (services/server composes them)";
  }
  // A simulation has libsodium take its chance from the seed, and calls nothing else of it.
  if (included == "sodium.h" && !IsUnder(path, "common/crypto/") &&
      path != "integration/simulation/repeatable_libraries.cpp") {
    return "libsodium is called in common/crypto only";
  }
  return "";
}

// A name that may be used only under some folders, and why.
struct Restricted {
  absl::string_view name;
  // What follows the name, so that "sleep(" is a call and "sleep" is a word.
  absl::string_view behind;
  std::vector<absl::string_view> allowed_under;
  absl::string_view rule;
};

bool IsTest(absl::string_view path) { return absl::EndsWith(path, "_test.cpp"); }

const std::vector<Restricted>& RestrictedNames() {
  constexpr absl::string_view kSleep =
      "nothing sleeps: an executor has timers, a test moves its manual clock";
  constexpr absl::string_view kThread = "threads are owned by common/executor";
  constexpr absl::string_view kClock = "time comes from a Clock";
  // Real processes and their deadlines: there is no clock to move.
  const std::vector<absl::string_view> harness = {"integration/harness/", "common/testing/"};
  // The data plane owns its loops: they wait in epoll, not for steps.
  const std::vector<absl::string_view> executor = {"common/executor/", "integration/harness/",
                                                   "edge/data_plane."};
  const std::vector<absl::string_view> clock = {"common/clock/", "common/log/", "integration/"};
  static const auto* const names = new std::vector<Restricted>{
      {"sleep_for", "", harness, kSleep},       {"sleep_until", "", harness, kSleep},
      {"SleepFor", "(", harness, kSleep},       {"usleep", "(", harness, kSleep},
      {"nanosleep", "(", harness, kSleep},      {"sleep", "(", harness, kSleep},
      {"std::thread", "", executor, kThread},   {"std::jthread", "", executor, kThread},
      {"std::async", "", executor, kThread},    {"pthread_create", "", executor, kThread},
      {"system_clock::now", "", clock, kClock}, {"absl::Now", "(", clock, kClock},
      {"time", "(nullptr)", clock, kClock},     {"time", "(NULL)", clock, kClock},
  };
  return *names;
}

bool Uses(absl::string_view code, const Restricted& restricted) {
  for (size_t position = code.find(restricted.name); position != absl::string_view::npos;
       position = code.find(restricted.name, position + 1)) {
    const absl::string_view behind = code.substr(position + restricted.name.size());
    // std::thread::id and std::thread::hardware_concurrency start no thread.
    if (IsWordAt(code, position, restricted.name) && absl::StartsWith(behind, restricted.behind) &&
        !absl::StartsWith(behind, "::")) {
      return true;
    }
  }
  return false;
}

// A CMakeLists.txt without its comments.
std::string CmakeCode(absl::string_view text) {
  std::string code;
  for (const absl::string_view line : LinesOf(text)) {
    absl::StrAppend(&code, line.substr(0, line.find('#')), "\n");
  }
  return code;
}

bool NamesSource(absl::string_view cmake, absl::string_view source) {
  // berth_service takes main.cpp by itself.
  if (source == "main.cpp" && absl::StrContains(cmake, "berth_service(")) return true;
  for (size_t position = cmake.find(source); position != absl::string_view::npos;
       position = cmake.find(source, position + 1)) {
    // "a/state.cpp" and "rollout_state.cpp" do not name state.cpp.
    if (IsWordAt(cmake, position, source) && (position == 0 || cmake[position - 1] != '/')) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::string Format(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    absl::StrAppend(&text, finding.path, ":", finding.line, ": ", finding.rule, "\n");
  }
  return text;
}

std::vector<Finding> CheckText(const File& file) {
  std::vector<Finding> findings;
  const std::vector<absl::string_view> lines = LinesOf(file.text);
  const bool markdown = absl::EndsWith(file.path, ".md");
  for (size_t i = 0; i < lines.size(); ++i) {
    const absl::string_view line = lines[i];
    const auto add = [&](absl::string_view rule) {
      findings.push_back({file.path, i + 1, std::string(rule)});
    };
    // A row of a table and a link have no place to break.
    const bool unbreakable =
        markdown && (absl::StartsWith(line, "|") || absl::StrContains(line, "://"));
    if (Columns(line) > kColumnsMax && !unbreakable) add("a line has at most 100 characters");
    if (absl::StrContains(line, '\t')) add("blanks, not tabs");
    if (absl::EndsWith(line, " ") || absl::EndsWith(line, "\r"))
      add("nothing at the end of a line");
    // Split, so that this file does not hold the words itself.
    if (HasWord(line,
                "TO"
                "DO") ||
        HasWord(line,
                "FIX"
                "ME")) {
      add("do it now, or say it in the README's limits");
    }
  }
  if (!file.text.empty() && file.text.back() != '\n') {
    findings.push_back({file.path, lines.size(), "a file ends with a line break"});
  }
  return findings;
}

std::vector<Finding> CheckIncludes(const File& file) {
  std::vector<Finding> findings;
  if (!IsCpp(file.path)) return findings;
  // The code tells what is an include, the text what it includes: names in quotes are blanked.
  const std::string code = CodeOnly(file.text);
  const std::vector<absl::string_view> code_lines = LinesOf(code);
  const std::vector<absl::string_view> lines = LinesOf(file.text);
  bool guarded = false;
  for (size_t i = 0; i < code_lines.size(); ++i) {
    if (absl::StartsWith(code_lines[i], "#pragma once")) guarded = true;
    if (!absl::StartsWith(code_lines[i], "#include ")) continue;
    const std::string rule = WhyNotIncluded(file.path, IncludedBy(lines[i]));
    if (!rule.empty()) findings.push_back({file.path, i + 1, rule});
  }
  if (absl::EndsWith(file.path, ".h") && !guarded) {
    findings.push_back({file.path, 1, "a header says #pragma once"});
  }
  return findings;
}

std::vector<Finding> CheckCalls(const File& file) {
  std::vector<Finding> findings;
  if (!IsCpp(file.path)) return findings;
  const std::string code = CodeOnly(file.text);
  const std::vector<absl::string_view> lines = LinesOf(code);
  for (const Restricted& restricted : RestrictedNames()) {
    if (IsUnderAny(file.path, restricted.allowed_under)) continue;
    // A test may start threads to show that a class stands them; it still does not sleep.
    if (IsTest(file.path) && absl::StrContains(restricted.name, "thread")) continue;
    for (size_t i = 0; i < lines.size(); ++i) {
      if (Uses(lines[i], restricted)) {
        findings.push_back({file.path, i + 1, std::string(restricted.rule)});
      }
    }
  }
  return findings;
}

std::vector<Finding> CheckEverySourceIsBuilt(const std::vector<File>& files) {
  std::vector<File> builds;
  for (const File& file : files) {
    if (NameOf(file.path) == "CMakeLists.txt") builds.push_back({file.path, CmakeCode(file.text)});
  }
  std::vector<Finding> findings;
  for (const File& file : files) {
    if (!absl::EndsWith(file.path, ".cpp")) continue;
    const bool built = std::any_of(builds.begin(), builds.end(), [&](const File& build) {
      const absl::string_view folder = FolderOf(build.path);
      absl::string_view source = file.path;
      if (!folder.empty() && !absl::ConsumePrefix(&source, absl::StrCat(folder, "/"))) return false;
      return NamesSource(build.text, source);
    });
    if (!built) findings.push_back({file.path, 0, "named in no CMakeLists.txt"});
  }
  return findings;
}

std::vector<Finding> CheckEveryFolderIsExplained(const std::vector<File>& files) {
  std::set<std::string> with_sources;
  std::set<std::string> explained;
  for (const File& file : files) {
    const std::string folder(FolderOf(file.path));
    if (IsCpp(file.path)) with_sources.insert(folder);
    if (NameOf(file.path) == "README.md") explained.insert(folder);
  }
  std::vector<Finding> findings;
  for (const std::string& folder : with_sources) {
    if (explained.count(folder) == 0) findings.push_back({folder, 0, "a folder has a README.md"});
  }
  return findings;
}

}  // namespace berth::tidy
