// What it costs to tell watchers of changes, beside etcd's watch of a prefix and the cheapest
// broadcaster there is; what a watcher costs that is only there; how long a change is under way,
// and whether watchers that take nothing delay the others.

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/net/unique_fd.h"
#include "common/testing/eventually.h"
#include "common/testing/temp_dir.h"
#include "integration/bench/peers.h"
#include "integration/bench/process_cost.h"
#include "integration/bench/report.h"
#include "integration/bench/rpc_load.h"
#include "integration/bench/watchers.h"
#include "integration/harness/own_machine.h"
#include "integration/harness/program.h"

namespace berth::bench {
namespace {

constexpr int kWatchers = 1'000;
constexpr int kIdleWatchers = 10'000;
constexpr int kConnections = 100;  // Of watchers.
constexpr int kWriters = 4;        // Of changes, each when the last one is stored.
constexpr absl::Duration kTime = absl::Seconds(10);
constexpr absl::Duration kSettle = absl::Seconds(30);
constexpr absl::Duration kIdle = absl::Seconds(5);
constexpr int kNullMessages = 2'000;

void LetPass(absl::Duration time) {
  (void)testing::Eventually(time, [] { return false; });
}

// One side: a server with its puts and its watches.
struct Side {
  LoadTarget puts;
  WatchTarget watches;
  pid_t pid;
};

struct Measured {
  double deliveries_per_cpu_second = 0;
  double puts_per_second = 0;
  double kb_per_watcher = 0;
  Samples half_load;     // Put to reception, ms.
  Samples with_stopped;  // The same while one watcher in a hundred takes nothing.
};

// All watchers have what was put, so that no delivery is left out.
void AwaitDeliveries(const Watchers& watchers, uint64_t expected) {
  if (!testing::Eventually(kSettle, [&] { return watchers.deliveries() >= expected; })) {
    throw std::runtime_error(absl::StrCat(watchers.deliveries(), " deliveries of ", expected));
  }
}

double MemoryOfWatcher(const Side& side) {
  const double before = MemoryOf(side.pid).pss_mb;
  const Watchers watchers(side.watches, kIdleWatchers, kConnections);
  LetPass(kIdle);
  return (MemoryOf(side.pid).pss_mb - before) * 1000 / kIdleWatchers;
}

Measured Measure(const Side& side) {
  Measured measured;
  measured.kb_per_watcher = MemoryOfWatcher(side);
  Watchers watchers(side.watches, kWatchers, kConnections);
  watchers.CountAnew();
  const absl::Duration cpu = CpuOf(side.pid);
  const Load load = CallFor(side.puts, kWriters, kWriters, kTime);
  AwaitDeliveries(watchers, load.calls * kWatchers);
  measured.deliveries_per_cpu_second =
      static_cast<double>(watchers.deliveries()) / absl::ToDoubleSeconds(CpuOf(side.pid) - cpu);
  measured.puts_per_second = static_cast<double>(load.calls) / absl::ToDoubleSeconds(kTime);

  watchers.CountAnew();
  AwaitDeliveries(
      watchers,
      CallAtRate(side.puts, measured.puts_per_second / 2, kWriters, kTime).calls * kWatchers);
  measured.half_load = watchers.latency();
  constexpr int kStopped = kWatchers / 100;
  watchers.Stop(kStopped);
  // What they had asked for before they stopped comes yet.
  CallAtRate(side.puts, measured.puts_per_second / 2, kWriters, absl::Seconds(1));
  watchers.CountAnew();
  AwaitDeliveries(watchers,
                  CallAtRate(side.puts, measured.puts_per_second / 2, kWriters, kTime).calls *
                      (kWatchers - kStopped));
  measured.with_stopped = watchers.latency();
  return measured;
}

// Deliveries of as large a message per second of the null broadcaster's processor time.
double NullBroadcaster() {
  const std::string program = absl::StrCat(std::getenv("BERTH_BIN"), "/null_broadcaster");
  const integration::Program broadcaster(
      {program, absl::StrCat(kWatchers), absl::StrCat(kNullMessages), absl::StrCat(kValueBytes)});
  int port = 0;
  testing::Eventually(kSettle, [&] { return absl::SimpleAtoi(broadcaster.OutSoFar(), &port); });
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  std::vector<UniqueFd> connections;
  for (int i = 0; i < kWatchers; ++i) {
    connections.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(connections.back().get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) !=
        0) {
      throw std::runtime_error("no connection to the null broadcaster");
    }
  }
  std::vector<char> buffer(size_t{64} << 10);
  for (uint64_t left = uint64_t{kNullMessages} * kWatchers * kValueBytes; left > 0;) {
    for (const UniqueFd& connection : connections) {
      const ssize_t got = recv(connection.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got == 0) throw std::runtime_error("the null broadcaster ended early");
      if (got > 0) left -= static_cast<uint64_t>(got);
    }
  }
  double seconds = 0;
  testing::Eventually(kSettle, [&] {
    const std::vector<std::string> lines = absl::StrSplit(broadcaster.OutSoFar(), '\n');
    return lines.size() > 2 && absl::SimpleAtod(lines[1], &seconds);
  });
  return double{kNullMessages} * kWatchers / seconds;
}

void AddRow(const std::string& name, const Measured& measured, Table* table) {
  table->Add({name, absl::StrFormat("%.0f", measured.deliveries_per_cpu_second),
              absl::StrFormat("%.0f", measured.puts_per_second),
              absl::StrFormat("%.1f", measured.kb_per_watcher),
              absl::StrFormat("%.2f", measured.half_load.Percentile(99)),
              absl::StrFormat("%.2f", measured.with_stopped.Percentile(99))});
}

int Main() {
  integration::OwnMachine::Enter();
  const rlimit files = {65'536, 65'536};
  setrlimit(RLIMIT_NOFILE, &files);
  const testing::TempDir folder;
  std::filesystem::create_directory(folder.File("keyvalue"));
  std::filesystem::create_directory(folder.File("etcd"));
  Measured berth;
  {
    const KeyValueServer server(folder.File("keyvalue"));
    berth = Measure({server.Puts(), server.Watches(), server.pid()});
  }
  Measured etcd;
  {
    const Etcd server(folder.File("etcd"));
    etcd = Measure({server.Puts(), server.Watches(), server.pid()});
  }
  const double null = NullBroadcaster();
  Table table({"", "deliveries/CPU s", "changes/s", "kB/watcher", "p99 ms at half load",
               "with 1 % stopped"});
  AddRow("Berth", berth, &table);
  AddRow("etcd", etcd, &table);
  table.Add({"null broadcaster", absl::StrFormat("%.0f", null), "", "", "", ""});
  const nlohmann::ordered_json result = {
      {"bench", "watch"},
      {"deliveries_per_cpu_second_vs_etcd",
       berth.deliveries_per_cpu_second / etcd.deliveries_per_cpu_second},
      {"memory_per_watcher_vs_etcd", berth.kb_per_watcher / etcd.kb_per_watcher},
      {"p99_ms_half_load", berth.half_load.Percentile(99)},
      {"null_ratio", berth.deliveries_per_cpu_second / null}};
  std::cout << table.ToString() << result.dump() << std::endl;
  return 0;
}

}  // namespace
}  // namespace berth::bench

int main() { return berth::bench::ExitCodeOf(berth::bench::Main); }
