#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "common/crypto/signature.h"
#include "common/ids/id_source.h"
#include "common/rpc/dispatcher.h"
#include "common/sync/mutex.h"
#include "services/scheduler/relay.h"

namespace berth::scheduler {

class ExecConversation;

// Commands that people run inside instances, from their streams to the agents' and back. Safe from
// any thread; outlives the streams.
class Execs {
 public:
  // What an agent may send that the person has not taken yet.
  static constexpr size_t kOutputWindowBytes = size_t{256} << 10;
  static constexpr size_t kInputBytesMax = size_t{32} << 10;

  using Reply = std::function<void(absl::StatusOr<v1::ExecInputResponse>)>;

  Execs(Relay* relay, IdSource* ids) : relay_(relay), ids_(ids) {}

  // Has the command run that is granted under `key`, and serves the person's stream with what comes
  // of it.
  void Begin(const v1::ExecGrant& grant, const SigningKey& key, const v1::ExecRequest& request,
             std::shared_ptr<rpc::Stream> stream);

  // Passes on what the command reads; answers once its host has taken it. kNotFound: no such
  // command of this principal runs; kInvalidArgument: more than kInputBytesMax; kResourceExhausted:
  // what was sent before is not taken yet.
  void Input(const std::string& principal, const v1::ExecInputRequest& request, Reply reply);

 private:
  friend class ExecConversation;

  void Forget(const std::string& name);

  Relay* const relay_;
  IdSource* const ids_;
  Mutex mutex_;
  std::map<std::string, std::weak_ptr<ExecConversation>> running_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::scheduler
