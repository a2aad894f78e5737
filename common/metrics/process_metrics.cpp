#include "common/metrics/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace berth {
namespace {

// Places in /proc/PID/stat, counted from the field behind the program's name (proc(5)).
constexpr size_t kUserTime = 11;
constexpr size_t kSystemTime = 12;
constexpr size_t kThreads = 17;
constexpr size_t kStartTime = 19;
constexpr size_t kVirtualBytes = 20;
constexpr size_t kResidentPages = 21;

std::string TextOf(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// When the machine started, in seconds since 1970.
std::optional<double> BootTime() {
  for (absl::string_view line : absl::StrSplit(TextOf("/proc/stat"), '\n')) {
    double seconds = 0;
    if (absl::ConsumePrefix(&line, "btime ") && absl::SimpleAtod(line, &seconds)) return seconds;
  }
  return std::nullopt;
}

void AddStat(MetricsPage* page) {
  const std::string stat = TextOf("/proc/self/stat");
  // The name stands in parentheses and may hold any character.
  const size_t name_end = stat.rfind(") ");
  if (name_end == std::string::npos) return;
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(stat).substr(name_end + 2), ' ');
  if (fields.size() <= kResidentPages) return;
  auto number = [&fields](size_t place) {
    double value = 0;
    return absl::SimpleAtod(fields[place], &value) ? value : 0;
  };
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  page->Counter("process_cpu_seconds_total", "Processor time used, user and system.", {},
                (number(kUserTime) + number(kSystemTime)) / ticks);
  page->Gauge("process_threads", "Threads of the process.", {}, number(kThreads));
  page->Gauge("process_virtual_memory_bytes", "Address space in use.", {}, number(kVirtualBytes));
  page->Gauge("process_resident_memory_bytes", "Memory in use.", {},
              number(kResidentPages) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  if (const std::optional<double> boot = BootTime()) {
    page->Gauge("process_start_time_seconds", "When the process started, since 1970.", {},
                *boot + number(kStartTime) / ticks);
  }
}

void AddDescriptors(MetricsPage* page) {
  std::error_code error;
  const std::filesystem::directory_iterator folder("/proc/self/fd", error);
  if (!error) {
    // Without the one that looks.
    const auto open = std::distance(begin(folder), end(folder)) - 1;
    page->Gauge("process_open_fds", "Descriptors that are open.", {}, static_cast<double>(open));
  }
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    page->Gauge("process_max_fds", "Descriptors that may be open.", {},
                static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace

void AddProcessMetrics(MetricsPage* page) {
  AddStat(page);
  AddDescriptors(page);
}

}  // namespace berth
