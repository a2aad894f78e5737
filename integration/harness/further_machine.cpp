#include "integration/harness/further_machine.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <exception>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <thread>

#include "absl/strings/str_cat.h"
#include "integration/harness/machine_namespaces.h"
#include "integration/harness/own_machine.h"

namespace berth::integration {
namespace {

constexpr char kWire[] = "wire";
constexpr char kInterface[] = "eth0";
constexpr int kOwnNumber = 1;

std::string AddressOf(int number) { return absl::StrCat("fd42::", number); }

// The end of a machine's interface that is on the test's own machine.
std::string EndOnWire(int number) { return absl::StrCat(kWire, "-", number); }

// Of this process, for whoever is told of it.
std::string PathOf(const UniqueFd& fd) {
  return absl::StrCat("/proc/", getpid(), "/fd/", fd.get());
}

// Without waiting whether another has the address.
void MustSetAddress(int number, const std::string& interface) {
  MustRun({"ip", "address", "add", AddressOf(number) + "/64", "dev", interface, "nodad"});
  MustRun({"ip", "link", "set", interface, "up"});
}

UniqueFd OpenNamespace(const std::string& name) {
  UniqueFd fd(open(("/proc/thread-self/ns/" + name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) throw std::runtime_error("cannot open the namespace " + name);
  return fd;
}

}  // namespace

Wire::Wire() {
  OwnMachine::Enter();
  MustRun({"ip", "link", "add", kWire, "type", "bridge"});
  MustSetAddress(kOwnNumber, kWire);
}

Wire::~Wire() { (void)Run({"ip", "link", "delete", kWire}); }

std::string Wire::OwnAddress() { return AddressOf(kOwnNumber); }

FurtherMachine::FurtherMachine(int number) : number_(number) {
  const std::string end = EndOnWire(number);
  std::exception_ptr failure;
  // Namespaces are a thread's, and outlive it by what holds them open.
  std::thread([&] {
    try {
      EnterNewMachine(folder_);
      MustRun({"ip", "link", "add", kInterface, "type", "veth", "peer", "name", end, "netns",
               absl::StrCat("/proc/", getpid(), "/ns/net")});
      MustSetAddress(number, kInterface);
      network_ = OpenNamespace("net");
      mounts_ = OpenNamespace("mnt");
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure != nullptr) std::rethrow_exception(failure);
  MustRun({"ip", "link", "set", end, "master", kWire, "up"});
}

FurtherMachine::~FurtherMachine() {
  try {
    (void)Run(There({"podman", "rm", "--all", "--force", "--time", "0"}));
    for (const Process& process : ProcessesIn(std::filesystem::read_symlink(PathOf(mounts_)))) {
      kill(process.pid, SIGKILL);
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
  }
  // Its other end goes with the namespace, which goes with the last process, some time soon.
  (void)Run({"ip", "link", "delete", EndOnWire(number_)});
}

std::string FurtherMachine::address() const { return AddressOf(number_); }

std::vector<std::string> FurtherMachine::There(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all = {"nsenter", "--net=" + PathOf(network_),
                                  "--mount=" + PathOf(mounts_)};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return all;
}

std::string FurtherMachine::MustRunThere(const std::vector<std::string>& arguments,
                                         absl::Duration limit) const {
  return MustRun(There(arguments), limit);
}

void FurtherMachine::AddRoute(const std::string& network, const FurtherMachine& via) const {
  MustRunThere({"ip", "route", "add", network, "via", via.address()});
}

void FurtherMachine::RemoveRoute(const std::string& network) const {
  MustRunThere({"ip", "route", "delete", network});
}

}  // namespace berth::integration
