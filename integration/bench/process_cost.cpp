#include "integration/bench/process_cost.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace berth::bench {
namespace {

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

Memory MemoryOf(pid_t pid) {
  Memory memory;
  const std::string text = TextOf(absl::StrCat("/proc/", pid, "/smaps_rollup"));
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    double kib = 0;
    if (words.size() != 3 || !absl::SimpleAtod(words[1], &kib)) continue;
    const double megabytes = kib * 1024 / 1e6;
    if (words[0] == "Pss:") memory.pss_mb += megabytes;
    if (absl::StartsWith(words[0], "Private_")) memory.uss_mb += megabytes;
  }
  return memory;
}

absl::Duration CpuOf(pid_t pid) {
  const std::string stat = TextOf(absl::StrCat("/proc/", pid, "/stat"));
  // The name may hold spaces; utime and stime are the 12th and 13th field behind it (proc(5)).
  const std::vector<std::string> fields =
      absl::StrSplit(stat.substr(stat.rfind(')') + 1), ' ', absl::SkipEmpty());
  const double ticks = std::stod(fields.at(11)) + std::stod(fields.at(12));
  return absl::Seconds(ticks / static_cast<double>(sysconf(_SC_CLK_TCK)));
}

}  // namespace berth::bench
