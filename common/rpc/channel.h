#pragma once

#include <google/protobuf/message.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/check/check.h"
#include "common/rpc/methods.h"

namespace berth::rpc {

// Whom a channel trusts and how it identifies itself.
struct ChannelOptions {
  // HOST:PORT, or several with commas between them: where the copies of the service are.
  std::string address;
  // Which service is expected there: its certificate carries the name SERVICE.berth.internal, so
  // that it may be reached under any address.
  std::string service = "auth";
  std::string ca_pem;           // The platform CA; nothing else is trusted.
  std::string certificate_pem;  // Machines: the self-signed certificate of the identity key.
  std::string private_key_pem;  // Machines: that key.
  std::string token;            // People: the bearer token.
};

// How one call is made.
struct CallOptions {
  static constexpr absl::Duration kDeadline = absl::Seconds(10);

  absl::Duration deadline = kDeadline;
  // The caller's key for this command; the channel makes one up where it is empty. A repeat of the
  // command carries the same.
  std::string request_id;
};

// A stream to a server; ends when it is destroyed. Its callbacks run on gRPC's threads, one at a
// time, and not any more once the destructor has returned; so it is not destroyed by them.
class ClientStream {
 public:
  virtual ~ClientStream() = default;

  // Sends a message; bidirectional streams only. Queued without bound: who sends much waits for
  // answers.
  virtual void Send(const std::string& bytes) = 0;
};

// A connection to one of Berth's services over TLS 1.3, made when first needed and made again when
// lost, to whichever of its copies leads (LeaderChannel). Safe from any thread.
class Channel {
 public:
  static std::shared_ptr<Channel> Open(const ChannelOptions& options);

  virtual ~Channel() = default;

  // Calls the method that takes Request, and waits for the answer.
  template <typename Response, typename Request>
  absl::StatusOr<Response> Call(const Request& request, const CallOptions& options = {}) {
    const Method& method = MethodFor(*Request::descriptor());
    BERTH_CHECK_MESSAGE(method.descriptor->output_type() == Response::descriptor(),
                        method.full_name);
    absl::StatusOr<std::string> bytes = CallBytes(method, request.SerializeAsString(), options);
    if (!bytes.ok()) return bytes.status();
    return Parse<Response>(*bytes);
  }

  // The same without waiting; `done` runs on one of gRPC's threads.
  template <typename Response, typename Request>
  void CallAsync(const Request& request, const CallOptions& options,
                 std::function<void(absl::StatusOr<Response>)> done) {
    const Method& method = MethodFor(*Request::descriptor());
    BERTH_CHECK_MESSAGE(method.descriptor->output_type() == Response::descriptor(),
                        method.full_name);
    CallBytesAsync(method, request.SerializeAsString(), options,
                   [done = std::move(done)](absl::StatusOr<std::string> bytes) {
                     if (!bytes.ok()) return done(bytes.status());
                     done(Parse<Response>(*bytes));
                   });
  }

  // Begins a streaming call. `received` gets each message; `ended` is the last callback, OK where
  // the server ended it well. A bidirectional stream begins without a message: Request names the
  // method only.
  template <typename Response, typename Request>
  std::unique_ptr<ClientStream> Open(const Request& request,
                                     std::function<void(const Response&)> received,
                                     std::function<void(absl::Status)> ended) {
    const Method& method = MethodFor(*Request::descriptor());
    BERTH_CHECK_MESSAGE(method.descriptor->output_type() == Response::descriptor(),
                        method.full_name);
    return OpenBytes(
        method, request.SerializeAsString(),
        [received = std::move(received)](const std::string& bytes) -> absl::Status {
          absl::StatusOr<Response> message = Parse<Response>(bytes);
          if (message.ok()) received(*message);
          return message.status();
        },
        std::move(ended));
  }

  // What the calls above are made of: messages as bytes.
  virtual absl::StatusOr<std::string> CallBytes(const Method& method, const std::string& request,
                                                const CallOptions& options) = 0;
  virtual void CallBytesAsync(const Method& method, const std::string& request,
                              const CallOptions& options,
                              std::function<void(absl::StatusOr<std::string>)> done) = 0;
  virtual std::unique_ptr<ClientStream> OpenBytes(
      const Method& method, const std::string& request,
      std::function<absl::Status(const std::string&)> received,
      std::function<void(absl::Status)> ended) = 0;

 private:
  template <typename Message>
  static absl::StatusOr<Message> Parse(const std::string& bytes) {
    Message message;
    if (!message.ParseFromString(bytes)) {
      return absl::DataLossError("the server's answer cannot be read");
    }
    return message;
  }
};

}  // namespace berth::rpc
