// Every RPC of a real server, called by everybody there is.

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "berth/auth/v1/auth.pb.h"
#include "berth/config/v1/config.pb.h"
#include "berth/edge_router/v1/edge_router.pb.h"
#include "berth/eventlog/v1/log.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "common/crypto/machine_identity.h"
#include "common/files/atomic_file.h"
#include "common/rpc/channel.h"
#include "common/rpc/membership.h"
#include "common/rpc/server.h"
#include "common/testing/eventually.h"
#include "common/testing/temp_dir.h"
#include "integration/harness/own_machine.h"
#include "integration/harness/program.h"

namespace berth::integration {
namespace {

constexpr char kAddress[] = "127.0.0.1:7443";
constexpr char kAuthority[] = "auth.berth.internal";
constexpr absl::Duration kStartMax = absl::Seconds(30);
constexpr std::chrono::seconds kCallMax(20);
constexpr size_t kFileBytesMax = 64 << 10;

std::string TextOf(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, kFileBytesMax);
  REQUIRE(text.ok());
  return text->substr(0, text->find_last_not_of('\n') + 1);
}

// Somebody, and how they call: with a machine's key, a token, or neither.
class Caller {
 public:
  explicit Caller(const rpc::ChannelOptions& options) : token_(options.token) {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = options.ca_pem;
    tls.pem_cert_chain = options.certificate_pem;
    tls.pem_private_key = options.private_key_pem;
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride(kAuthority);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub_ = std::make_unique<grpc::GenericStub>(
        grpc::CreateCustomChannel(options.address, grpc::SslCredentials(tls), arguments));
  }

  // OK where the server answers at all: a unary call's answer, or a stream's first message. What a
  // stream says beyond that is not waited for.
  grpc::Status Call(const rpc::Method& method, const google::protobuf::Message& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kCallMax);
    if (!token_.empty()) context.AddMetadata("authorization", "Bearer " + token_);
    grpc::CompletionQueue queue;
    const auto call = stub_->PrepareCall(&context, method.path, &queue);
    const auto done = [&queue] {
      void* tag = nullptr;
      bool ok = false;
      REQUIRE(queue.Next(&tag, &ok));
      return ok;
    };
    const grpc::Slice slice(request.SerializeAsString());
    const grpc::ByteBuffer bytes(&slice, 1);
    grpc::ByteBuffer answer;
    grpc::Status status;
    bool ok = false;
    call->StartCall(nullptr);
    if (done()) {
      call->WriteLast(bytes, grpc::WriteOptions(), nullptr);
      (void)done();
      call->Read(&answer, nullptr);
      ok = done();
    }
    if (ok) context.TryCancel();
    call->Finish(&status, nullptr);
    (void)done();
    return ok ? grpc::Status::OK : status;
  }

 private:
  const std::string token_;
  std::unique_ptr<grpc::GenericStub> stub_;
};

// A machine with keys of its own.
struct Machine {
  testing::TempDir folder;
  MachineIdentity identity = *MachineIdentity::LoadOrCreate(folder.File("identity"));
};

// A real server, and everybody who may call it.
class Platform {
 public:
  Platform() : server_(Start()) {
    REQUIRE(testing::Eventually(kStartMax, [this] {
      if (!std::filesystem::exists(state() + "/ca.pem")) return false;
      ca_pem_ = TextOf(state() + "/ca.pem");
      return absl::IsUnauthenticated(
          Open({})->Call<auth::v1::WhoAmIResponse>(auth::v1::WhoAmIRequest()).status());
    }));
    auth::v1::LoginRequest login;
    login.set_bootstrap_token(TextOf(state() + "/bootstrap-token"));
    const std::string root = Must<auth::v1::LoginResponse>({}, login).token();
    root_.token = root;
    AddPeople();
    AddMachines();
    AddTokensThatAreDead();
  }

  std::map<std::string, std::unique_ptr<Caller>>& callers() { return callers_; }

 private:
  std::string state() const { return folder_.File("state"); }

  // Before gRPC starts, and before there is a second thread.
  std::unique_ptr<Program> Start() {
    OwnMachine::Enter();
    rpc::PrepareGrpc();
    const std::string settings = folder_.File("server.yaml");
    std::ofstream(settings) << "listen: " << kAddress << "\nstate: " << state() << "\n";
    const char* const folder = std::getenv("BERTH_BIN");
    const std::string bin =
        folder != nullptr ? std::string(folder)
                          : std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
    return std::make_unique<Program>(
        std::vector<std::string>{bin + "/berth-server", "--settings", settings});
  }

  std::shared_ptr<rpc::Channel> Open(rpc::ChannelOptions options) const {
    options.address = kAddress;
    options.ca_pem = ca_pem_;
    return rpc::Channel::Open(options);
  }

  template <typename Response, typename Request>
  Response Must(const rpc::ChannelOptions& caller, const Request& request) const {
    const absl::StatusOr<Response> response = Open(caller)->Call<Response>(request);
    INFO(response.status().ToString());
    REQUIRE(response.ok());
    return *response;
  }

  void Add(const std::string& name, rpc::ChannelOptions options) {
    options.address = kAddress;
    options.ca_pem = ca_pem_;
    callers_[name] = std::make_unique<Caller>(options);
  }

  void AddPeople() {
    Add("nobody", {});
    Add("root", root_);
    for (const char* org : {"acme", "globex"}) {
      auth::v1::CreateOrgRequest create;
      create.set_org(org);
      Must<auth::v1::CreateOrgResponse>(root_, create);
    }
    AddPerson("viewer", "acme", auth::v1::ROLE_VIEWER);
    AddPerson("developer", "acme", auth::v1::ROLE_DEVELOPER);
    AddPerson("admin", "acme", auth::v1::ROLE_ADMIN);
    AddPerson("stranger", "globex", auth::v1::ROLE_ADMIN);
  }

  void AddPerson(const std::string& name, const std::string& org, auth::v1::Role role) {
    auth::v1::AddMemberRequest add;
    add.set_org(org);
    add.set_principal(absl::StrCat("user/", org, "-", name));
    add.set_role(role);
    auth::v1::LoginRequest login;
    login.set_login_token(Must<auth::v1::AddMemberResponse>(root_, add).login_token());
    rpc::ChannelOptions person;
    person.token = Must<auth::v1::LoginResponse>({}, login).token();
    Add(name, person);
  }

  void AddMachines() {
    AddMachine("host", "acme", auth::v1::MACHINE_KIND_HOST);
    AddMachine("foreign-host", "globex", auth::v1::MACHINE_KIND_HOST);
    AddMachine("edge", "acme", auth::v1::MACHINE_KIND_EDGE);
    AddMachine("removed", "acme", auth::v1::MACHINE_KIND_HOST);
    auth::v1::RemoveMachineRequest remove;
    remove.set_org("acme");
    remove.set_kind(auth::v1::MACHINE_KIND_HOST);
    remove.set_name("removed");
    Must<auth::v1::RemoveMachineResponse>(root_, remove);
    AddMachine("unknown", "acme", auth::v1::MACHINE_KIND_HOST);
    AddMachine("unknown", "acme", auth::v1::MACHINE_KIND_HOST, /*new_keys=*/true);
    Add("unjoined", ChannelOf(machines_.emplace_back().identity));
    // One of the server's own, which it joined with by itself.
    REQUIRE(testing::Eventually(
        kStartMax, [this] { return std::filesystem::exists(state() + "/scheduler/member"); }));
    Add("service", ChannelOf(*MachineIdentity::LoadOrCreate(state() + "/scheduler/identity")));
  }

  rpc::ChannelOptions ChannelOf(const MachineIdentity& identity) const {
    return *rpc::MachineChannel(identity, "machine", kAddress, ca_pem_);
  }

  void AddMachine(const std::string& name, const std::string& org, auth::v1::MachineKind kind,
                  bool new_keys = false) {
    auth::v1::CreateJoinTokenRequest create;
    create.set_org(org);
    create.set_kind(kind);
    create.set_name(name);
    create.set_new_keys(new_keys);
    const Machine& machine = machines_.emplace_back();
    rpc::JoinOptions join;
    join.folder = machine.folder.path();
    join.auth_address = kAddress;
    join.join_token_file = machine.folder.File("join-token");
    std::ofstream(join.join_token_file)
        << Must<auth::v1::CreateJoinTokenResponse>(root_, create).join_token();
    // Whom to trust is in the token.
    const auto member = rpc::LoadOrJoin(machine.identity, join);
    INFO(member.status().ToString());
    REQUIRE(member.ok());
    CHECK(member->ca_certificate() == ca_pem_ + "\n");
    Add(name, ChannelOf(machine.identity));
  }

  std::string CreateToken(const std::string& name) const {
    auth::v1::CreateTokenRequest create;
    create.set_name(name);
    create.mutable_lifetime()->set_seconds(1);
    return Must<auth::v1::CreateTokenResponse>(root_, create).token();
  }

  void AddTokensThatAreDead() {
    rpc::ChannelOptions revoked;
    revoked.token = CreateToken("revoked");
    Add("revoked", revoked);
    auth::v1::RevokeTokenRequest revoke;
    revoke.set_token("revoked");
    Must<auth::v1::RevokeTokenResponse>(root_, revoke);
    rpc::ChannelOptions expired;
    expired.token = CreateToken("expired");
    Add("expired", expired);
    const auto channel = Open(expired);
    REQUIRE(testing::Eventually(kStartMax, [&channel] {
      return absl::IsUnauthenticated(
          channel->Call<auth::v1::WhoAmIResponse>(auth::v1::WhoAmIRequest()).status());
    }));
  }

  const testing::TempDir folder_;
  const std::unique_ptr<Program> server_;
  std::string ca_pem_;
  rpc::ChannelOptions root_;
  std::deque<Machine> machines_;  // Each stays where it is.
  std::map<std::string, std::unique_ptr<Caller>> callers_;
};

// Every method of every service; signing out comes last, as who has done it is nobody afterwards.
std::vector<const rpc::Method*> AllMethods() {
  std::vector<const rpc::Method*> methods;
  for (const auto* file : {auth::v1::LoginRequest::descriptor()->file(),
                           config::v1::DeployRequest::descriptor()->file(),
                           scheduler::v1::ReportRequest::descriptor()->file(),
                           edge_router::v1::ListRoutesRequest::descriptor()->file(),
                           eventlog::v1::ListRecordsRequest::descriptor()->file(),
                           secrets::v1::PutSecretRequest::descriptor()->file()}) {
    for (const rpc::Method& method : rpc::MethodsOf(*file->service(0))) methods.push_back(&method);
  }
  std::stable_partition(methods.begin(), methods.end(), [](const rpc::Method* method) {
    return method->descriptor->input_type() != auth::v1::LogoutRequest::descriptor();
  });
  return methods;
}

// The method's request, empty but for the org that it is about.
std::unique_ptr<google::protobuf::Message> RequestAbout(const rpc::Method& method,
                                                        const std::string& org) {
  std::unique_ptr<google::protobuf::Message> request(
      google::protobuf::MessageFactory::generated_factory()
          ->GetPrototype(method.descriptor->input_type())
          ->New());
  google::protobuf::Message* part = request.get();
  for (const auto* field : method.org_field) {
    if (field == method.org_field.back()) {
      part->GetReflection()->SetString(part, field, org);
    } else {
      part = part->GetReflection()->MutableMessage(part, field);
    }
  }
  return request;
}

// Who is let in where a permission is needed, which is about the org acme if it is about one.
std::set<std::string> LetIn(options::v1::Permission permission) {
  using namespace options::v1;
  const std::string people = "viewer developer admin root";
  const std::string machines = "host foreign-host edge service";
  const std::map<Permission, std::string> table = {
      {PERMISSION_PUBLIC,
       absl::StrCat(people, " ", machines,
                    " stranger nobody unjoined removed unknown revoked expired")},
      {PERMISSION_AUTHENTICATED, absl::StrCat(people, " ", machines, " stranger")},
      {PERMISSION_READ, people},
      {PERMISSION_DEPLOY, "developer admin root"},
      {PERMISSION_SCALE, "developer admin root"},
      {PERMISSION_LOGS, "developer admin root"},
      {PERMISSION_EXEC, "developer admin root"},
      {PERMISSION_ROUTE_WRITE, "developer admin root"},
      {PERMISSION_SECRET_WRITE, "developer admin root"},
      {PERMISSION_SECRET_READ, "admin root"},
      {PERMISSION_ADMIN, "admin root"},
      {PERMISSION_PLATFORM_ADMIN, "root"},
      {PERMISSION_HOST, "host foreign-host"},
      {PERMISSION_EDGE, "edge"},
      {PERMISSION_SERVICE, "service"},
  };
  return absl::StrSplit(table.at(permission), ' ');
}

const std::set<std::string> kNobody = {"nobody", "unjoined", "removed", "revoked", "expired"};

// Whether somebody was kept from calling at all. What comes of the request of whom the gate lets in
// is the service's business: it may refuse an empty one for its content.
bool RefusedByTheGate(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAUTHENTICATED ||
         (status.error_code() == grpc::StatusCode::PERMISSION_DENIED &&
          (absl::StrContains(status.error_message(), "may not call") ||
           absl::StrContains(status.error_message(), "has changed its keys")));
}

void CheckAnswer(const std::string& name, const grpc::Status& status, bool let_in) {
  INFO(status.error_code() << " " << status.error_message());
  CHECK(RefusedByTheGate(status) == !let_in);
  if (let_in) {
    // It is there.
    CHECK(status.error_code() != grpc::StatusCode::UNIMPLEMENTED);
    CHECK(status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED);
  } else {
    CHECK(status.error_code() == (kNobody.contains(name) ? grpc::StatusCode::UNAUTHENTICATED
                                                         : grpc::StatusCode::PERMISSION_DENIED));
  }
}

TEST_CASE("every RPC of a real server lets in exactly those whom its permission is for") {
  Platform platform;
  for (const rpc::Method* method : AllMethods()) {
    for (const auto& [name, caller] : platform.callers()) {
      INFO(name << " calls " << method->full_name);
      if (!method->org_field.empty()) {
        // Of the other org only who administers it, or the platform.
        CheckAnswer(name, caller->Call(*method, *RequestAbout(*method, "globex")),
                    name == "stranger" || name == "root");
      }
      CheckAnswer(name, caller->Call(*method, *RequestAbout(*method, "acme")),
                  LetIn(method->permission).contains(name));
    }
  }
}

}  // namespace
}  // namespace berth::integration
