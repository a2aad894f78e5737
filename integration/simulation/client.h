#pragma once

#include <deque>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/methods.h"
#include "integration/simulation/history.h"
#include "integration/simulation/network.h"
#include "integration/simulation/process.h"

namespace berth::simulation {

// What a client asks next.
struct Asked {
  const rpc::Method* method;
  std::string request;  // Serialised.
  bool command;         // It changes something: it has a request id, and may be repeated.
};

template <typename Request>
Asked Command(const Request& request) {
  return {&rpc::MethodFor(*Request::descriptor()), request.SerializeAsString(), true};
}
template <typename Request>
Asked Question(const Request& request) {
  return {&rpc::MethodFor(*Request::descriptor()), request.SerializeAsString(), false};
}

// Somebody who asks one thing after another, as the command line does it: what was not surely
// answered is asked again under the same request id, until it is or the client loses patience. Some
// of what was answered is asked once more; the answer must be the same.
class Client {
 public:
  struct Options {
    std::string name;       // Of its process.
    std::string principal;  // As the gate knows it.
    rpc::Credentials credentials;
    std::vector<std::string> servers;  // The processes that answer; one of them leads.
    absl::Duration think_most = absl::Milliseconds(300);
    // What it asks next; nullopt: nothing now.
    std::function<std::optional<Asked>(Random*)> next;
    // What of an answer is recorded, and so the same each time; empty: all of it.
    std::function<std::string(const Asked&, const std::string&)> recorded = nullptr;
    // Hears of every answer; may be empty.
    std::function<void(const Asked&, const absl::StatusOr<std::string>&)> answered = nullptr;
  };

  // `history` gets its operations.
  Client(World* world, Network* network, Options options, std::vector<Operation>* history);

  Process& process() { return process_; }

  // Finishes what it is at, asks `last`, one after the other, and nothing any more; nor does it
  // lose patience.
  void Finish(std::vector<Asked> last) {
    finishing_ = true;
    last_.assign(std::make_move_iterator(last.begin()), std::make_move_iterator(last.end()));
  }
  bool idle() const { return !asking_; }
  // It waits for nothing that it asked for by `since`, and repeats nothing of it any more.
  bool DoneWithWhatWasAskedBy(absl::Duration since) const {
    return !asking_ || (*history_)[operation_].called > since;
  }

 private:
  struct Running;

  void Think(Running* running);
  void Ask(Running* running);
  std::optional<Asked> TakeLast();
  void Try(Running* running);
  void Tried(Running* running, absl::StatusOr<std::string> outcome);

  World* const world_;
  Network* const network_;
  const Options options_;
  std::vector<Operation>* const history_;
  Random random_;
  bool finishing_ = false;
  std::deque<Asked> last_;
  bool asking_ = false;
  bool repeating_ = false;
  std::optional<Asked> asked_;
  size_t operation_ = 0;  // Its place in the history.
  Process process_;
};

}  // namespace berth::simulation
