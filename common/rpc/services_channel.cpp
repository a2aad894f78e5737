#include "common/rpc/services_channel.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/escaping.h"
#include "berth/auth/v1/auth.pb.h"
#include "common/files/atomic_file.h"
#include "common/ids/random_id_source.h"
#include "common/log/log.h"
#include "common/status/error_details.h"
#include "common/sync/mutex.h"

namespace berth::rpc {
namespace {

constexpr char kAuth[] = "auth";
constexpr size_t kFileSizeMax = 64 << 10;
constexpr mode_t kPrivate = 0600;

// Short beside a call's own: whoever waits for the call waits for this, too.
constexpr absl::Duration kAskDeadline = absl::Seconds(2);

CallOptions ToAsk() {
  CallOptions options;
  options.deadline = kAskDeadline;
  return options;
}

class RoutedChannel : public Channel, public std::enable_shared_from_this<RoutedChannel> {
 public:
  explicit RoutedChannel(const ServicesChannel::Options& options)
      : options_(options), auth_(Channel::Open(options.auth)) {
    if (options_.file.empty()) return;
    const absl::StatusOr<std::string> stored = ReadFile(options_.file, kFileSizeMax);
    auth::v1::ListServicesResponse learnt;
    if (stored.ok() && learnt.ParseFromString(*stored)) Take(learnt);
  }

  absl::StatusOr<std::string> CallBytes(const Method& method, const std::string& request,
                                        const CallOptions& options) override {
    // One id for both attempts, so that the command is carried out once.
    CallOptions with = options;
    if (with.request_id.empty()) {
      with.request_id = absl::BytesToHexString(RandomIdSource().NewNonce());
    }
    const std::string service = ServiceNameOf(method, request);
    const std::shared_ptr<Channel> first = To(service);
    absl::StatusOr<std::string> answer = first->CallBytes(method, request, with);
    if (!MayBeElsewhere(service, first, answer.status())) return answer;
    Learnt(auth_->Call<auth::v1::ListServicesResponse>(auth::v1::ListServicesRequest(), ToAsk()));
    const std::shared_ptr<Channel> second = To(service);
    return second == first ? answer : second->CallBytes(method, request, with);
  }

  void CallBytesAsync(const Method& method, const std::string& request, const CallOptions& options,
                      std::function<void(absl::StatusOr<std::string>)> done) override {
    const std::string service = ServiceNameOf(method, request);
    const std::shared_ptr<Channel> asked = To(service);
    asked->CallBytesAsync(method, request, options,
                          [self = shared_from_this(), service, asked,
                           done = std::move(done)](absl::StatusOr<std::string> answer) {
                            self->Ended(service, asked, answer.status());
                            done(std::move(answer));
                          });
  }

  std::unique_ptr<ClientStream> OpenBytes(const Method& method, const std::string& request,
                                          std::function<absl::Status(const std::string&)> received,
                                          std::function<void(absl::Status)> ended) override {
    const std::string service = ServiceNameOf(method, request);
    if (options_.streams_wait && service != kAuth && !Asked()) {
      Learnt(auth_->Call<auth::v1::ListServicesResponse>(auth::v1::ListServicesRequest(), ToAsk()));
    }
    const std::shared_ptr<Channel> asked = To(service);
    return asked->OpenBytes(
        method, request, std::move(received),
        [self = shared_from_this(), service, asked, ended = std::move(ended)](absl::Status status) {
          self->Ended(service, asked, status);
          ended(std::move(status));
        });
  }

 private:
  struct Place {
    std::string address;
    std::shared_ptr<Channel> channel;
  };

  // Whether such an end may come of asking at the wrong place, and auth may know the right one.
  bool MayBeElsewhere(const std::string& service, const std::shared_ptr<Channel>& asked,
                      const absl::Status& status) const {
    if (service == kAuth || options_.addresses.contains(service)) return false;
    // What a service says itself has a reason; what gRPC says has none.
    if (!ReasonOf(status).empty()) return false;
    if (absl::IsUnimplemented(status)) return true;
    return asked != auth_ && (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status));
  }

  std::shared_ptr<Channel> To(const std::string& service) {
    MutexLock lock(&mutex_);
    const auto named = options_.addresses.find(service);
    const auto learnt = learnt_.find(service);
    std::string address;
    if (named != options_.addresses.end()) {
      address = named->second;
    } else if (learnt != learnt_.end()) {
      address = learnt->second;
    }
    // Where auth is, one connection leads to both.
    if (service == kAuth || address.empty() || address == options_.auth.address) return auth_;
    Place& place = places_[service];
    if (place.address != address) {
      ChannelOptions options = options_.auth;
      options.address = address;
      options.service = service;
      place = {address, Channel::Open(options)};
    }
    return place.channel;
  }

  void Ended(const std::string& service, const std::shared_ptr<Channel>& asked,
             const absl::Status& status) {
    if (!MayBeElsewhere(service, asked, status)) return;
    {
      MutexLock lock(&mutex_);
      if (std::exchange(asking_, true)) return;
    }
    auth_->CallAsync<auth::v1::ListServicesResponse>(
        auth::v1::ListServicesRequest(), ToAsk(),
        [self = shared_from_this()](absl::StatusOr<auth::v1::ListServicesResponse> answer) {
          self->Learnt(answer);
          MutexLock lock(&self->mutex_);
          self->asking_ = false;
        });
  }

  bool Asked() {
    MutexLock lock(&mutex_);
    return answered_;
  }

  // Where auth does not answer, what was known stays.
  void Learnt(const absl::StatusOr<auth::v1::ListServicesResponse>& answer) {
    if (!answer.ok() || !Take(*answer) || options_.file.empty()) return;
    const absl::Status stored =
        WriteFileAtomically(options_.file, answer->SerializeAsString(), kPrivate);
    if (!stored.ok()) {
      LogWarning("where the services are could not be stored", {{"why", stored.message()}});
    }
  }

  // Whether anything of it is new.
  bool Take(const auth::v1::ListServicesResponse& answer) {
    ServiceAddresses addresses;
    for (const auth::v1::ServiceAddress& each : answer.services()) {
      addresses[each.service()] = each.address();
    }
    MutexLock lock(&mutex_);
    answered_ = true;
    return std::exchange(learnt_, addresses) != addresses;
  }

  const ServicesChannel::Options options_;
  const std::shared_ptr<Channel> auth_;
  Mutex mutex_;
  ServiceAddresses learnt_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Place> places_ ABSL_GUARDED_BY(mutex_);
  bool asking_ ABSL_GUARDED_BY(mutex_) = false;
  bool answered_ ABSL_GUARDED_BY(mutex_) = false;  // Something is learnt, be it from the file.
};

}  // namespace

std::shared_ptr<Channel> ServicesChannel::Open(const Options& options) {
  return std::make_shared<RoutedChannel>(options);
}

}  // namespace berth::rpc
