#include "integration/simulation/faults.h"

#include <utility>

namespace berth::simulation {

void Faults::Begin(Targets targets) {
  targets_ = std::move(targets);
  ScheduleNext();
}

void Faults::ScheduleNext() {
  world_->After(world_->random().Between(absl::Milliseconds(20), kEveryMost), [this] {
    if (mended_) return;
    Happen();
    ScheduleNext();
  });
}

void Faults::Happen() {
  Random& random = world_->random();
  ServiceHost& host = *targets_.hosts[random.Below(targets_.hosts.size())];
  Process& peer = *targets_.peers[random.Below(targets_.peers.size())];
  const std::string& server = host.process().name();
  switch (random.Below(kKinds)) {
    case 0:
      Count("kill");
      return host.Kill(SimulatedDisk::End::kProcess);
    case 1:
      Count("loss of power");
      network_->EndSilently(true);
      host.Kill(SimulatedDisk::End::kPower);
      return network_->EndSilently(false);
    case 2:
      Count("death in an append");
      (random.Chance(500) ? host.log_faults().die_before_next : host.log_faults().die_after_next) =
          true;
      return;
    case 3:
      Count("slow log");
      host.log_faults().append_most = random.Between(absl::Milliseconds(1), absl::Seconds(1));
      return;
    case 4:
      Count("stop");
      if (Life* life = host.process().life())
        life->Stop(random.Between(absl::Milliseconds(100), absl::Seconds(20)));
      return;
    case 5:
      Count("cut");
      return Cut(peer.name(), server);
    case 6:
      Count("reset");
      return network_->Reset(peer.name(), server);
    case 7:
      Count("slow network");
      return network_->SetDelay(absl::Microseconds(100),
                                random.Between(absl::Milliseconds(1), absl::Milliseconds(800)));
    case 8:
      Count("clock jump");
      host.process().JumpClock(random.Between(-absl::Hours(1), absl::Hours(1)));
      return host.process().SetClockDrift(static_cast<int64_t>(random.Below(1000)) - 500);
    case 9:
      Count("stopped peer");
      if (peer.life() != nullptr)
        peer.life()->Stop(random.Between(absl::Milliseconds(100), absl::Seconds(60)));
      return;
    case 10:
      return Restart(targets_.restarting[random.Below(targets_.restarting.size())]);
    case 11:
      return ReconnectAll(host);
    case 12:
      return CutLog(host);
    default:
      return targets_.database == nullptr ? HappenToDisk(host) : HappenToDatabase(host);
  }
}

void Faults::Cut(const std::string& peer, const std::string& server) {
  Random& random = world_->random();
  const bool both = random.Chance(500);
  const bool to_server = both || random.Chance(500);
  if (to_server) network_->Cut(peer, server);
  if (both || !to_server) network_->Cut(server, peer);
  world_->After(random.Between(absl::Milliseconds(10), absl::Seconds(60)), [this, peer, server] {
    network_->Mend(peer, server);
    network_->Mend(server, peer);
  });
}

// With one peer left to it, so that whoever led may be asked and is not told that it leads no more.
void Faults::Partition(ServiceHost& host) {
  Random& random = world_->random();
  Count("partition");
  const uint64_t left = random.Below(targets_.peers.size());
  host.log_faults().cut_off = true;
  std::vector<std::string> cut;
  for (uint64_t i = 0; i < targets_.peers.size(); ++i) {
    if (i == left) continue;
    cut.push_back(targets_.peers[i]->name());
    network_->Cut(cut.back(), host.process().name());
    network_->Cut(host.process().name(), cut.back());
  }
  world_->After(random.Between(absl::Milliseconds(10), absl::Seconds(30)), [this, &host, cut] {
    host.log_faults().cut_off = false;
    for (const std::string& peer : cut) {
      network_->Mend(peer, host.process().name());
      network_->Mend(host.process().name(), peer);
    }
  });
}

// As after a restart of what is between them: everyone comes back at once.
void Faults::ReconnectAll(ServiceHost& host) {
  Count("reconnect of all");
  for (Process* const peer : targets_.peers) network_->Reset(peer->name(), host.process().name());
}

// So little later that watchers are still there whose place in the log is then gone.
void Faults::CutLog(ServiceHost& host) {
  if (targets_.may_cut == nullptr) return;
  Count("cut of the log");
  host.CutLater(world_->random().Between(absl::Seconds(1), absl::Seconds(2)), targets_.may_cut,
                [this] { ++numbers_["cuts"]; });
}

void Faults::Restart(Process* peer) {
  Count("restart of a peer");
  peer->Kill();
  world_->After(world_->random().Between(absl::ZeroDuration(), absl::Seconds(5)),
                [peer] { peer->Begin(); });
}

void Faults::HappenToDisk(ServiceHost& host) {
  Random& random = world_->random();
  switch (random.Below(4)) {
    case 0:
      Count("failed sync");
      return host.FailNextSync();
    case 1:
      Count("full disk");
      host.disk()->SetFull(true);
      return world_->After(random.Between(absl::Milliseconds(10), absl::Seconds(4)),
                           [&host] { host.disk()->SetFull(false); });
    default:
      Count("crash in a write");
      return host.disk()->CrashAfter(static_cast<int>(random.Below(30)));
  }
}

void Faults::HappenToDatabase(ServiceHost& host) {
  using Failure = MemoryDatabase::AppendFailure;
  Random& random = world_->random();
  switch (random.Below(7)) {
    case 0:
      Count("database: lost before stored");
      return targets_.database->FailNextAppend(Failure::kLostBeforeStored);
    case 1:
      Count("database: lost after stored");
      return targets_.database->FailNextAppend(Failure::kLostAfterStored);
    case 2:
      Count("database: full");
      return targets_.database->FailNextAppend(Failure::kDiskFull);
    case 3:
      Count("database: away");
      targets_.database->Disconnect();
      return world_->After(random.Between(absl::Milliseconds(10), absl::Seconds(30)),
                           [this] { targets_.database->Reconnect(); });
    case 4:
      return FailOverInCommit();
    case 5:
      return Partition(host);
    default:
      // Between the look at the lease and the write: whoever has the lease by then is another.
      Count("stop in an append");
      host.log_faults().stop_before_next = random.Between(absl::Seconds(1), absl::Seconds(40));
      return;
  }
}

// Whether the commit got as far as the copy that takes over is not said, to whoever commits next.
void Faults::FailOverInCommit() {
  using Failure = MemoryDatabase::AppendFailure;
  Random& random = world_->random();
  Count("database: failover in a commit");
  targets_.database->FailNextAppend(random.Chance(500) ? Failure::kLostBeforeStored
                                                       : Failure::kLostAfterStored);
  const absl::Duration away = random.Between(absl::Milliseconds(100), absl::Seconds(20));
  for (ServiceHost* const host : targets_.hosts) {
    host->log_faults().after_next = [this, away] {
      for (ServiceHost* const other : targets_.hosts) other->log_faults().after_next = nullptr;
      targets_.database->Disconnect();
      world_->After(away, [this] { targets_.database->Reconnect(); });
    };
  }
}

void Faults::Mend() {
  mended_ = true;
  for (ServiceHost* const host : targets_.hosts) {
    host->log_faults() = LogFaults();
    if (host->disk() != nullptr) host->disk()->SetFull(false);
  }
  if (targets_.database != nullptr) targets_.database->Reconnect();
  network_->MendAll();
  network_->SetDelay(absl::Microseconds(100), absl::Milliseconds(2));
}

}  // namespace berth::simulation
