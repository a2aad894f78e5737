#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "berth/config/v1/config.pb.h"
#include "berth/config/v1/events.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "common/clock/system_clock.h"
#include "common/crypto/certificates.h"
#include "common/crypto/signature.h"
#include "common/eventlog/model_counter.h"
#include "common/executor/thread_executor.h"
#include "common/ids/random_id_source.h"
#include "common/net/unique_fd.h"
#include "common/rpc/channel.h"
#include "common/rpc/fake_services.h"
#include "common/rpc/server.h"
#include "common/rpc/subscription.h"
#include "common/status/error_details.h"
#include "common/sync/mutex.h"
#include "common/testing/printers.h"

namespace berth::rpc {
namespace {

// Before any test, as in every main.
const int kGrpcPrepared = (PrepareGrpc(), 0);

// What other threads bring, for the test's thread to take.
template <typename T>
class Inbox {
 public:
  void Put(T item) {
    MutexLock lock(&mutex_);
    items_.push_back(std::move(item));
  }

  // Waits for the next; fails the test where nothing comes.
  T Take() {
    mutex_.Lock();
    const bool came = mutex_.AwaitWithTimeout([this] { return !items_.empty(); }, kWaitMax);
    std::optional<T> item;
    if (came) {
      item = std::move(items_.front());
      items_.pop_front();
    }
    mutex_.Unlock();
    REQUIRE(item.has_value());
    return *std::move(item);
  }

 private:
  static constexpr absl::Duration kWaitMax = absl::Seconds(60);

  Mutex mutex_;
  std::deque<T> items_;
};

// The scheduler's service, whose Relay sends back what it gets.
class FakeScheduler {
 public:
  FakeScheduler(AccessView* access, Executor* executor, const Clock* clock)
      : dispatcher_(scheduler::v1::ReportRequest::descriptor()->file()->service(0), access,
                    executor, clock, [](CommandOrigin, absl::Status refusal, auto recorded) {
                      recorded(std::move(refusal));
                    }) {
    using namespace scheduler::v1;
    Unary<ReportRequest, ReportResponse>();
    Unary<ReportEdgeRequest, ReportEdgeResponse>();
    Unary<GetEnvironmentStatusRequest, GetEnvironmentStatusResponse>();
    Unary<ListHostsRequest, ListHostsResponse>();
    Unary<RestartRequest, RestartResponse>();
    Unary<WhyRequest, WhyResponse>();
    Unary<LabelHostRequest, LabelHostResponse>();
    Unary<ListEdgesRequest, ListEdgesResponse>();
    Unary<ExcludeEdgeRequest, ExcludeEdgeResponse>();
    Unary<IncludeEdgeRequest, IncludeEdgeResponse>();
    Unary<ExecInputRequest, ExecInputResponse>();
    Streaming<ExecRequest, ExecResponse>();
    Streaming<WatchHostRequest, watch::v1::WatchResponse>();
    Streaming<WatchEndpointsRequest, watch::v1::WatchResponse>();
    Streaming<WatchEnvironmentRequest, watch::v1::WatchResponse>();
    Streaming<LogsRequest, LogsResponse>();
    dispatcher_.Streaming<RelayUp, RelayDown>(
        [this](const Call&, const RelayUp&, std::shared_ptr<Stream> stream) { relay(stream); });
  }

  Dispatcher& dispatcher() { return dispatcher_; }

  std::function<void(std::shared_ptr<Stream>)> relay;

 private:
  template <typename Request, typename Response>
  void Unary() {
    dispatcher_.Unary<Request, Response>(
        [](const Call&, const Request&, auto reply) { reply(Response()); });
  }
  template <typename Request, typename Response>
  void Streaming() {
    dispatcher_.Streaming<Request, Response>(
        [](const Call&, const Request&, std::shared_ptr<Stream> stream) {
          stream->End(absl::OkStatus());
        });
  }

  Dispatcher dispatcher_;
};

class Echo : public Conversation {
 public:
  explicit Echo(std::weak_ptr<Stream> stream) : stream_(std::move(stream)) {}

  WatchFrame Next() override {
    MutexLock lock(&mutex_);
    if (waiting_.empty()) return {};
    scheduler::v1::RelayDown down;
    down.set_session(waiting_.front());
    waiting_.pop_front();
    return {std::make_shared<std::string>(down.SerializeAsString())};
  }

  absl::Status Receive(const std::string& bytes) override {
    scheduler::v1::RelayUp up;
    if (!up.ParseFromString(bytes)) return absl::InvalidArgumentError("not a RelayUp");
    if (up.has_ended()) return absl::AbortedError(up.ended().error());
    {
      MutexLock lock(&mutex_);
      waiting_.push_back(up.session());
    }
    if (const std::shared_ptr<Stream> stream = stream_.lock()) stream->Wake();
    return absl::OkStatus();
  }

 private:
  const std::weak_ptr<Stream> stream_;
  Mutex mutex_;
  std::deque<uint64_t> waiting_ ABSL_GUARDED_BY(mutex_);
};

// A server of the two fakes on a port of its own, and its members: user/viewer of acme, a host and
// a service.
struct Platform {
  explicit Platform(std::vector<Dispatcher*> dispatchers = {}) {
    access.Set("principal/user/viewer", PersonWith("user/viewer", auth::v1::ROLE_VIEWER));
    SetToken(&access, std::string(32, 'v'), "user/viewer", clock.Now() + absl::Hours(1));
    SetMachine(&access, host_key.public_key(), auth::v1::MACHINE_KIND_HOST, "alpha");
    SetMachine(&access, service_key.public_key(), auth::v1::MACHINE_KIND_SERVICE, "scheduler");
    access.Advance(1);
    dispatchers.push_back(&config.dispatcher());
    dispatchers.push_back(&relay.dispatcher());
    absl::StatusOr<std::unique_ptr<Server>> started = Server::Start(ServerOptions(), dispatchers);
    REQUIRE(started.status() == absl::OkStatus());
    server = *std::move(started);
  }
  ~Platform() {
    server.reset();
    executor.Stop();
  }

  Server::Options ServerOptions() const {
    Server::Options options;
    options.address = "127.0.0.1:0";
    options.certificate_pem = *ca.IssueServerCertificate(
        server_key.public_key(), {"config.berth.internal", "scheduler.berth.internal"},
        {"127.0.0.1"});
    options.private_key_pem = *PrivateKeyPem(server_key);
    return options;
  }

  ChannelOptions To(const std::string& service) const {
    ChannelOptions options;
    options.address = absl::StrCat("127.0.0.1:", server->port());
    options.service = service;
    options.ca_pem = ca.certificate_pem();
    return options;
  }

  ChannelOptions AsViewer() const {
    ChannelOptions options = To("config");
    options.token = FormatToken(1, std::string(32, 'v'));
    return options;
  }

  ChannelOptions As(const SigningKey& key, const std::string& service) const {
    ChannelOptions options = To(service);
    options.certificate_pem = *SelfSigned(key, "a machine");
    options.private_key_pem = *PrivateKeyPem(key);
    return options;
  }

  const CertificateAuthority ca = *CertificateAuthority::Generate();
  const SigningKey server_key = SigningKey::Generate();
  const SigningKey host_key = SigningKey::Generate();
  const SigningKey service_key = SigningKey::Generate();
  SystemClock clock;
  ThreadExecutor executor{"rpc_test"};
  AccessView access;
  FakeConfig config{&access, &executor, &clock};
  FakeScheduler relay{&access, &executor, &clock};
  std::unique_ptr<Server> server;
};

absl::Status List(const ChannelOptions& options) {
  config::v1::ListEnvironmentsRequest request;
  request.set_org("acme");
  return Channel::Open(options)->Call<config::v1::ListEnvironmentsResponse>(request).status();
}

// What OpenSSL agrees on with the server when it speaks no other version; empty: nothing.
std::string Handshake(int port, int version) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()),
                                                       SSL_CTX_free);
  REQUIRE(SSL_CTX_set_min_proto_version(context.get(), version) == 1);
  REQUIRE(SSL_CTX_set_max_proto_version(context.get(), version) == 1);
  REQUIRE(SSL_CTX_set_cipher_list(context.get(), "ALL:@SECLEVEL=0") == 1);
  constexpr unsigned char kHttp2[] = {2, 'h', '2'};
  REQUIRE(SSL_CTX_set_alpn_protos(context.get(), kHttp2, sizeof(kHttp2)) == 0);
  std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context.get()), SSL_free);
  SSL_set_fd(ssl.get(), fd.get());
  return SSL_connect(ssl.get()) == 1 ? SSL_get_version(ssl.get()) : "";
}

TEST_CASE("only TLS 1.3 is spoken", "[rpc][tls]") {
  const Platform platform;
  CHECK(Handshake(platform.server->port(), TLS1_3_VERSION) == "TLSv1.3");
  CHECK(Handshake(platform.server->port(), TLS1_2_VERSION).empty());
}

TEST_CASE("a client talks to the service it expects, certified by the platform's CA, only",
          "[rpc][tls]") {
  const Platform platform;
  CHECK(List(platform.AsViewer()) == absl::OkStatus());
  SECTION("another CA") {
    ChannelOptions options = platform.AsViewer();
    options.ca_pem = CertificateAuthority::Generate()->certificate_pem();
    CHECK(List(options).code() == absl::StatusCode::kUnavailable);
  }
  SECTION("another service") {
    ChannelOptions options = platform.AsViewer();
    options.service = "auth";
    CHECK(List(options).code() == absl::StatusCode::kUnavailable);
  }
}

TEST_CASE("a call's answer and its error details arrive as they were given", "[rpc]") {
  Platform platform;
  const std::shared_ptr<Channel> channel = Channel::Open(platform.AsViewer());
  config::v1::ListEnvironmentsRequest request;
  request.set_org("acme");
  SECTION("the answer") {
    Inbox<Call> calls;
    platform.config.list_environments = [&](const Call& call, const auto& got) {
      calls.Put(call);
      config::v1::ListEnvironmentsResponse response;
      response.add_environments()->mutable_name()->set_org(got.org());
      return response;
    };
    CallOptions options;
    options.request_id = "0123456789abcdef";
    const auto response = channel->Call<config::v1::ListEnvironmentsResponse>(request, options);
    REQUIRE(response.status() == absl::OkStatus());
    CHECK(response->environments(0).name().org() == "acme");
    const Call call = calls.Take();
    CHECK(call.caller.principal == "user/viewer");
    CHECK(call.origin.request_id == "0123456789abcdef");
    CHECK(absl::StartsWith(call.origin.address, "ipv4:127.0.0.1:"));
  }
  SECTION("every call without a request id gets one of its own") {
    Inbox<std::string> ids;
    platform.config.list_environments = [&](const Call& call, const auto&) {
      ids.Put(call.origin.request_id);
      return config::v1::ListEnvironmentsResponse();
    };
    REQUIRE(channel->Call<config::v1::ListEnvironmentsResponse>(request).ok());
    REQUIRE(channel->Call<config::v1::ListEnvironmentsResponse>(request).ok());
    const std::string first = ids.Take();
    CHECK_FALSE(first.empty());
    CHECK(ids.Take() != first);
  }
  SECTION("the error") {
    const absl::Status error = WithFieldViolations(
        WithRetryDelay(WithReason(absl::ResourceExhaustedError("no room, sorry: größer"),
                                  reason::kNoRoom, {{"limit", "7"}}),
                       absl::Milliseconds(1500)),
        {{"replicas", "too many"}});
    platform.config.list_environments =
        [&](const Call&, const auto&) -> absl::StatusOr<config::v1::ListEnvironmentsResponse> {
      return error;
    };
    const absl::Status got = channel->Call<config::v1::ListEnvironmentsResponse>(request).status();
    CHECK(got.code() == error.code());
    CHECK(got.message() == error.message());
    CHECK(ReasonOf(got) == reason::kNoRoom);
    CHECK(ReasonMetadataOf(got) == std::map<std::string, std::string>{{"limit", "7"}});
    CHECK(RetryDelayOf(got) == absl::Milliseconds(1500));
    REQUIRE(FieldViolationsOf(got).size() == 1);
    CHECK(FieldViolationsOf(got)[0].description == "too many");
  }
  SECTION("an error without a reason gets its code's name") {
    platform.config.list_environments =
        [](const Call&, const auto&) -> absl::StatusOr<config::v1::ListEnvironmentsResponse> {
      return absl::NotFoundError("no");
    };
    CHECK(ReasonOf(channel->Call<config::v1::ListEnvironmentsResponse>(request).status()) ==
          "NOT_FOUND");
  }
}

TEST_CASE("a machine is known by the key that it proves over TLS", "[rpc][tls]") {
  const Platform platform;
  auto report = [](const ChannelOptions& options) {
    return Channel::Open(options)
        ->Call<config::v1::ReportRolloutResponse>(config::v1::ReportRolloutRequest())
        .status();
  };
  CHECK(report(platform.As(platform.service_key, "config")) == absl::OkStatus());
  CHECK(report(platform.As(platform.host_key, "config")).code() ==
        absl::StatusCode::kPermissionDenied);
  CHECK(report(platform.As(SigningKey::Generate(), "config")).code() ==
        absl::StatusCode::kUnauthenticated);
  CHECK(report(platform.To("config")).code() == absl::StatusCode::kUnauthenticated);
}

TEST_CASE("a request that is too large is refused", "[rpc]") {
  const Platform platform;
  const std::shared_ptr<Channel> channel = Channel::Open(platform.AsViewer());
  config::v1::ListEnvironmentsRequest request;
  request.set_org(std::string(Server::kMessageBytesMax + 1, 'x'));
  CHECK(channel->Call<config::v1::ListEnvironmentsResponse>(request).status().code() ==
        absl::StatusCode::kResourceExhausted);
  request.set_org("acme");
  CHECK(channel->Call<config::v1::ListEnvironmentsResponse>(request).ok());
}

// Calls made by gRPC itself, without our client.
struct PlainGrpc {
  explicit PlainGrpc(const Platform& platform) {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = platform.ca.certificate_pem();
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride("config.berth.internal");
    stub = std::make_unique<grpc::GenericStub>(grpc::CreateCustomChannel(
        absl::StrCat("127.0.0.1:", platform.server->port()), grpc::SslCredentials(tls), arguments));
  }

  // Sends one message, or says without one that there will be none, and takes one, over a call of
  // any kind.
  absl::StatusOr<std::string> Exchange(const std::string& method,
                                       const std::optional<std::string>& bytes) {
    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    context.AddMetadata("authorization",
                        absl::StrCat("Bearer ", FormatToken(1, std::string(32, 'v'))));
    auto next = [&queue] {
      void* tag = nullptr;
      bool ok = false;
      REQUIRE(queue.Next(&tag, &ok));
      return ok;
    };
    const auto call = stub->PrepareCall(&context, method, &queue);
    call->StartCall(nullptr);
    next();
    if (bytes.has_value()) {
      const grpc::Slice slice(*bytes);
      call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
    } else {
      call->WritesDone(nullptr);
    }
    next();
    grpc::ByteBuffer answer;
    call->Read(&answer, nullptr);
    const bool answered = next();
    grpc::Status status;
    call->Finish(&status, nullptr);
    next();
    if (!status.ok()) {
      return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                          status.error_message());
    }
    std::vector<grpc::Slice> slices;
    REQUIRE((answered && answer.Dump(&slices).ok()));
    std::string got;
    for (const grpc::Slice& piece : slices) {
      got.append(reinterpret_cast<const char*>(piece.begin()), piece.size());
    }
    return got;
  }

  std::unique_ptr<grpc::GenericStub> stub;
};

TEST_CASE("bytes that are no request are refused", "[rpc]") {
  const Platform platform;
  PlainGrpc grpc(platform);
  const std::string method = "/berth.config.v1.ConfigService/ListEnvironments";
  CHECK(grpc.Exchange(method, "\xff\xff\xff").status().code() ==
        absl::StatusCode::kInvalidArgument);
  CHECK(grpc.Exchange(method,
                      "\x0a\x04"
                      "acme")
            .status() == absl::OkStatus());
  CHECK(grpc.Exchange("/berth.config.v1.ConfigService/Nonsense", "").status().code() ==
        absl::StatusCode::kUnimplemented);
}

// A client that gave up while the server stood still leaves such calls behind: they name a command
// and its request id, and what was asked is missing.
TEST_CASE("a call without a request is not one with an empty request", "[rpc]") {
  const Platform platform;
  PlainGrpc grpc(platform);
  const std::string unary = "/berth.config.v1.ConfigService/ListEnvironments";
  const std::string watch = "/berth.config.v1.ConfigService/WatchEnvironments";
  // Nobody is a viewer of the org "".
  CHECK(grpc.Exchange(unary, "").status().code() == absl::StatusCode::kPermissionDenied);
  for (const std::string& method : {unary, watch}) {
    CHECK(grpc.Exchange(method, std::nullopt).status() ==
          absl::UnimplementedError("the call brought no request; send it with one message"));
  }
}

TEST_CASE("health says whether the services serve, and reflection lists them", "[rpc]") {
  const Platform platform;
  PlainGrpc grpc(platform);
  // grpc.health.v1.HealthCheckRequest{service}, HealthCheckResponse{status}.
  const std::string service = "berth.config.v1.ConfigService";
  const std::string about_config =
      "\x0a" + std::string(1, static_cast<char>(service.size())) + service;
  auto health = [&](const std::string& request) {
    return grpc.Exchange("/grpc.health.v1.Health/Check", request);
  };
  CHECK(*health("") == "\x08\x02");  // NOT_SERVING
  CHECK(*health(about_config) == "\x08\x02");
  platform.server->SetServing(true);
  CHECK(*health("") == "\x08\x01");  // SERVING
  CHECK(*health(about_config) == "\x08\x01");
  // grpc.reflection.v1alpha.ServerReflectionRequest{list_services: "*"}.
  const absl::StatusOr<std::string> services =
      grpc.Exchange("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "\x3a\x01*");
  REQUIRE(services.status() == absl::OkStatus());
  CHECK_THAT(*services, Catch::Contains("berth.config.v1.ConfigService") &&
                            Catch::Contains("berth.scheduler.v1.SchedulerService") &&
                            Catch::Contains("grpc.health.v1.Health"));
}

scheduler::v1::RelayUp Up(uint64_t session) {
  scheduler::v1::RelayUp up;
  up.set_session(session);
  return up;
}

TEST_CASE("messages of a bidirectional stream arrive once and in order", "[rpc][stream]") {
  Platform platform;
  Inbox<std::shared_ptr<Stream>> opened;
  platform.relay.relay = [&](std::shared_ptr<Stream> stream) { opened.Put(stream); };
  const auto channel = Channel::Open(platform.As(platform.host_key, "scheduler"));
  Inbox<uint64_t> received;
  Inbox<absl::Status> ended;
  const std::unique_ptr<ClientStream> stream = channel->Open<scheduler::v1::RelayDown>(
      scheduler::v1::RelayUp(),
      [&](const scheduler::v1::RelayDown& down) { received.Put(down.session()); },
      [&](absl::Status status) { ended.Put(std::move(status)); });
  constexpr uint64_t kEarly = 250;
  constexpr uint64_t kMessages = 500;
  // Some are sent before the service has decided what to do with the stream.
  for (uint64_t i = 1; i <= kEarly; ++i) stream->Send(Up(i).SerializeAsString());
  {
    const std::shared_ptr<Stream> server_side = opened.Take();
    server_side->Begin(std::make_shared<Echo>(server_side));
  }
  for (uint64_t i = kEarly + 1; i <= kMessages; ++i) stream->Send(Up(i).SerializeAsString());
  for (uint64_t i = 1; i <= kMessages; ++i) REQUIRE(received.Take() == i);
  SECTION("until the service ends it") {
    scheduler::v1::RelayUp last;
    last.mutable_ended()->set_error("enough");
    stream->Send(last.SerializeAsString());
    const absl::Status status = ended.Take();
    CHECK(status.code() == absl::StatusCode::kAborted);
    CHECK(status.message() == "enough");
  }
  SECTION("until a message cannot be read") {
    stream->Send("\xff\xff");
    CHECK(ended.Take().code() == absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("a client that goes away lets go of the conversation", "[rpc][stream]") {
  Platform platform;
  Inbox<bool> let_go;
  struct Held : Conversation {
    explicit Held(Inbox<bool>* inbox) : told(inbox) {}
    ~Held() override { told->Put(true); }
    WatchFrame Next() override { return {}; }
    Inbox<bool>* const told;
  };
  Inbox<bool> begun;
  platform.relay.relay = [&](std::shared_ptr<Stream> stream) {
    stream->Begin(std::make_shared<Held>(&let_go));
    begun.Put(true);
  };
  const auto channel = Channel::Open(platform.As(platform.host_key, "scheduler"));
  Inbox<absl::Status> ended;
  std::unique_ptr<ClientStream> stream = channel->Open<scheduler::v1::RelayDown>(
      scheduler::v1::RelayUp(), [](const scheduler::v1::RelayDown&) {},
      [&](absl::Status status) { ended.Put(std::move(status)); });
  REQUIRE(begun.Take());
  SECTION("by itself") {
    stream.reset();
    CHECK(ended.Take().code() == absl::StatusCode::kCancelled);
  }
  SECTION("or with the server") {
    platform.server.reset();
    CHECK_FALSE(ended.Take().ok());
  }
  CHECK(let_go.Take());
}

TEST_CASE("a server starts only when every method has a handler", "[rpc]") {
  const Platform platform;
  ThreadExecutor executor("empty");
  AccessView access;
  SystemClock clock;
  Dispatcher empty(config::v1::DeployRequest::descriptor()->file()->service(0), &access, &executor,
                   &clock, nullptr);
  CHECK(Server::Start(platform.ServerOptions(), {&empty}).status().code() ==
        absl::StatusCode::kInternal);
  executor.Stop();
}

TEST_CASE("an address that is taken is said", "[rpc]") {
  Platform platform;
  Server::Options options = platform.ServerOptions();
  options.address = absl::StrCat("127.0.0.1:", platform.server->port());
  const absl::Status status = Server::Start(options, {&platform.config.dispatcher()}).status();
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK_THAT(std::string(status.message()), Catch::Contains(options.address));
}

// One life of a service whose watch is served over gRPC.
struct WatchedService {
  explicit WatchedService(std::shared_ptr<MemoryDatabase> database)
      : log(std::move(database), "promotions"),
        promotions("promotions", LogWriter::Limits(), &log, &platform.executor, &platform.clock,
                   &ids) {
    platform.config.watch_environments = [this](const auto& request,
                                                std::shared_ptr<Stream> stream) {
      ServeWatch(&promotions.writer(), "counts", request, std::move(stream));
    };
    Inbox<absl::Status> started;
    promotions.Start({"test"}, [&](absl::Status status) { started.Put(std::move(status)); });
    REQUIRE(started.Take() == absl::OkStatus());
  }
  ~WatchedService() {
    platform.server.reset();
    platform.executor.Stop();
  }

  void Promote(const std::string& app) {
    Inbox<absl::Status> done;
    CommandOrigin origin;
    origin.method = "Promote";
    promotions.Execute<config::v1::RollbackResponse>(
        origin, Recorded::kAlways,
        [app](const Counter& state, const DecisionContext& context) {
          return state.Promote(app, context);
        },
        [&](absl::StatusOr<config::v1::RollbackResponse> response) {
          done.Put(response.status());
        });
    REQUIRE(done.Take() == absl::OkStatus());
  }

  std::shared_ptr<Channel> Connect() const {
    return Channel::Open(platform.As(platform.service_key, "config"));
  }

  RandomIdSource ids;
  Platform platform;
  MemoryEventLog log;
  EventSourced<Counter> promotions;
};

// Follows the watch on an executor of its own, over whichever channel it is given.
struct Follower {
  struct Seen {
    WatchClient::Entries entries;
    WatchClient::Update update;
  };

  explicit Follower(std::shared_ptr<Channel> first) : channel(std::move(first)) {
    executor.Post([this] {
      subscription = std::make_unique<Subscription>(
          "promotions",
          [this](const auto& resume, auto received, auto ended) {
            config::v1::WatchEnvironmentsRequest request;
            if (resume.has_value()) *request.mutable_resume() = *resume;
            return channel->Open<watch::v1::WatchResponse>(request, received, ended);
          },
          WatchClient(), &executor, &ids,
          [this](const WatchClient::Update& update) {
            if (update.revision.has_value()) seen.Put({subscription->client().entries(), update});
          },
          [this](const absl::Status& why) { disconnected.Put(why); });
      subscription->Start();
    });
  }
  ~Follower() {
    executor.Stop();
    subscription.reset();
  }

  // What is seen until it holds these entries; whether a snapshot was among it.
  bool SnapshotUntil(const WatchClient::Entries& entries) {
    bool snapshot = false;
    while (true) {
      const Seen next = seen.Take();
      snapshot = snapshot || next.update.snapshot;
      CHECK_FALSE(next.update.history_changed);
      if (next.entries == entries) return snapshot;
    }
  }

  void Use(std::shared_ptr<Channel> next) {
    executor.Post([this, next = std::move(next)] { channel = next; });
  }

  RandomIdSource ids;
  Inbox<Seen> seen;
  Inbox<absl::Status> disconnected;
  std::shared_ptr<Channel> channel;
  std::unique_ptr<Subscription> subscription;
  ThreadExecutor executor{"follower"};
};

TEST_CASE("a subscription follows a watch over a restart of its server", "[rpc][watch]") {
  SystemClock clock;
  auto database = std::make_shared<MemoryDatabase>(&clock);
  auto service = std::make_unique<WatchedService>(database);
  service->Promote("a");
  Follower follower(service->Connect());
  CHECK(follower.SnapshotUntil({{"a", "1"}}));
  service->Promote("a");
  service->Promote("b");
  CHECK_FALSE(follower.SnapshotUntil({{"a", "2"}, {"b", "1"}}));

  service.reset();
  CHECK_FALSE(follower.disconnected.Take().ok());
  service = std::make_unique<WatchedService>(database);
  // While the follower is still away.
  service->Promote("b");
  follower.Use(service->Connect());
  CHECK_FALSE(follower.SnapshotUntil({{"a", "2"}, {"b", "2"}}));
  service->Promote("c");
  CHECK_FALSE(follower.SnapshotUntil({{"a", "2"}, {"b", "2"}, {"c", "1"}}));
}

TEST_CASE("a subscription that is refused tries again until it is let in", "[rpc][watch]") {
  SystemClock clock;
  WatchedService service(std::make_shared<MemoryDatabase>(&clock));
  service.Promote("a");
  const SigningKey late = SigningKey::Generate();
  Follower follower(Channel::Open(service.platform.As(late, "config")));
  CHECK(follower.disconnected.Take().code() == absl::StatusCode::kUnauthenticated);
  SetMachine(&service.platform.access, late.public_key(), auth::v1::MACHINE_KIND_SERVICE, "late");
  service.platform.access.Advance(2);
  CHECK(follower.SnapshotUntil({{"a", "1"}}));
}

}  // namespace
}  // namespace berth::rpc
