// A berth-server that is backed up while it is written to, killed, and restored elsewhere at the
// same address: what was acknowledged before the backup is there, and who has seen more is told.

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "berth/auth/v1/auth.pb.h"
#include "berth/config/v1/config.pb.h"
#include "berth/eventlog/v1/log.pb.h"
#include "common/crypto/hash.h"
#include "common/crypto/machine_identity.h"
#include "common/executor/thread_executor.h"
#include "common/files/atomic_file.h"
#include "common/ids/random_id_source.h"
#include "common/rpc/channel.h"
#include "common/rpc/membership.h"
#include "common/rpc/server.h"
#include "common/rpc/subscription.h"
#include "common/sync/mutex.h"
#include "common/sync/notification.h"
#include "common/testing/eventually.h"
#include "common/testing/postgres_fixture.h"
#include "common/testing/printers.h"
#include "common/testing/temp_dir.h"
#include "integration/harness/binaries.h"
#include "integration/harness/free_addresses.h"
#include "integration/harness/lone_server.h"

namespace berth::integration {
namespace {

const int kGrpcPrepared = (rpc::PrepareGrpc(), 0);

constexpr absl::Duration kDoneWithin = absl::Seconds(60);
constexpr size_t kTextBytesMax = size_t{64} << 10;
constexpr int kBefore = 60;
constexpr int kAfter = 10;
constexpr const char* kServices[] = {"auth", "config", "scheduler", "edge-router", "secrets"};

std::string TextOf(const std::string& path) {
  std::string text = ReadFile(path, kTextBytesMax).value();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::shared_ptr<rpc::Channel> SignIn(const LoneServer& server) {
  rpc::ChannelOptions options;
  options.address = server.address();
  options.ca_pem = TextOf(server.File("ca.pem")) + "\n";
  auth::v1::LoginRequest login;
  login.set_bootstrap_token(TextOf(server.File("bootstrap-token")));
  absl::StatusOr<auth::v1::LoginResponse> signed_in = absl::UnknownError("not asked");
  testing::Eventually(kDoneWithin, [&] {
    signed_in = rpc::Channel::Open(options)->Call<auth::v1::LoginResponse>(login);
    return signed_in.ok();
  });
  REQUIRE(signed_in.status() == absl::OkStatus());
  options.token = signed_in->token();
  return rpc::Channel::Open(options);
}

// The image of a deploy that was acknowledged.
std::string Deploy(rpc::Channel* channel, int number) {
  config::v1::DeployRequest request;
  request.set_org("home");
  request.set_manifest_yaml(
      "schema: berth/v1\napp: load\nimage: registry.example.com/load\nprocesses:\n"
      "  web: {resources: {cpu: 50m, memory: 16MiB}}\n");
  request.set_image(absl::StrCat("registry.example.com/load@sha256:",
                                 HexEncode(Blake2b256({absl::StrCat(number)}))));
  absl::Status status = absl::UnknownError("not asked");
  testing::Eventually(kDoneWithin, [&] {
    status = channel->Call<config::v1::DeployResponse>(request).status();
    return !absl::IsUnavailable(status);
  });
  REQUIRE(status == absl::OkStatus());
  return request.image();
}

std::set<std::string> ReleasedImages(rpc::Channel* channel) {
  config::v1::ListReleasesRequest request;
  request.mutable_environment()->set_org("home");
  request.mutable_environment()->set_app("load");
  request.mutable_environment()->set_env("production");
  absl::StatusOr<config::v1::ListReleasesResponse> listed = absl::UnknownError("not asked");
  testing::Eventually(kDoneWithin, [&] {
    listed = channel->Call<config::v1::ListReleasesResponse>(request);
    return !absl::IsUnavailable(listed.status());
  });
  REQUIRE(listed.status() == absl::OkStatus());
  std::set<std::string> images;
  for (const config::v1::Release& release : listed->releases()) images.insert(release.image());
  return images;
}

// How the service's verification of its own log ended.
absl::Status Verify(rpc::Channel* channel, const std::string& service) {
  eventlog::v1::VerifyLogRequest request;
  request.set_stream(service);
  Notification over;
  absl::Status status;
  bool complete = false;
  const auto stream = channel->Open<eventlog::v1::VerifyLogResponse>(
      request,
      [&](const eventlog::v1::VerifyLogResponse& news) { complete = complete || news.complete(); },
      [&](absl::Status ended) {
        status = std::move(ended);
        over.Notify();
      });
  if (!over.WaitForNotificationWithTimeout(kDoneWithin)) return absl::DeadlineExceededError("");
  if (status.ok() && !complete) return absl::UnknownError("it ended before it was complete");
  return status;
}

// Follows all environments as the scheduler does, across whatever becomes of the server.
class Follower {
 public:
  explicit Follower(const LoneServer& server) {
    const auto identity = MachineIdentity::LoadOrCreate(server.File("scheduler/identity"));
    REQUIRE(identity.status() == absl::OkStatus());
    const auto options = rpc::MachineChannel(*identity, "service/scheduler", server.address(),
                                             TextOf(server.File("ca.pem")) + "\n");
    REQUIRE(options.status() == absl::OkStatus());
    executor_.Post([this, channel = rpc::Channel::Open(*options)] {
      subscription_ = std::make_unique<rpc::Subscription>(
          "environments", rpc::Subscription::Over<config::v1::WatchEnvironmentsRequest>(channel),
          WatchClient(), &executor_, &ids_,
          [this](const WatchClient::Update& update) { Updated(update); });
      subscription_->Start();
    });
  }
  ~Follower() { executor_.Stop(); }

  uint64_t newest_release() const {
    MutexLock lock(&mutex_);
    return newest_release_;
  }
  bool history_changed() const {
    MutexLock lock(&mutex_);
    return history_changed_;
  }

 private:
  void Updated(const WatchClient::Update& update) {
    MutexLock lock(&mutex_);
    history_changed_ = history_changed_ || update.history_changed;
    for (const auto& [key, value] : subscription_->client().entries()) {
      config::v1::Environment environment;
      if (environment.ParseFromString(value)) newest_release_ = environment.newest_release();
    }
  }

  RandomIdSource ids_;
  ThreadExecutor executor_{"follower"};
  mutable Mutex mutex_;
  uint64_t newest_release_ ABSL_GUARDED_BY(mutex_) = 0;
  bool history_changed_ ABSL_GUARDED_BY(mutex_) = false;
  // On the executor only, and gone before it.
  std::unique_ptr<rpc::Subscription> subscription_;
};

TEST_CASE("a server that was backed up under load is restored, and watchers are told") {
  const testing::TempDir folder;
  const std::string address = FreeAddresses(1).front();
  const std::string file = folder.File("backup");
  LoneServer first(folder.File("first"), address);
  first.Start();
  std::shared_ptr<rpc::Channel> channel = SignIn(first);
  std::vector<std::string> before;
  for (int i = 0; i < kBefore; ++i) before.push_back(Deploy(channel.get(), i));

  Program backup({Binary("berth"), "server", "backup", file, "--settings", first.settings()});
  std::vector<std::string> meanwhile;
  while (!backup.HasEnded()) {
    meanwhile.push_back(Deploy(channel.get(), kBefore + static_cast<int>(meanwhile.size())));
  }
  const Finished backed_up = backup.Wait(kDoneWithin);
  INFO(backed_up.out << backed_up.err);
  REQUIRE(backed_up.exit_code == 0);
  std::vector<std::string> after;
  for (int i = 0; i < kAfter; ++i) {
    after.push_back(Deploy(channel.get(), kBefore + static_cast<int>(meanwhile.size()) + i));
  }
  const uint64_t released = before.size() + meanwhile.size() + after.size();
  std::cout << before.size() << " deploys before the backup, " << meanwhile.size() << " meanwhile, "
            << after.size() << " after" << std::endl;
  for (const char* service : kServices) CHECK(Verify(channel.get(), service) == absl::OkStatus());
  Follower follower(first);
  REQUIRE(testing::Eventually(kDoneWithin, [&] { return follower.newest_release() == released; }));
  first.Kill();

  LoneServer second(folder.File("second"), address);
  std::cout << MustRun(
      {Binary("berth"), "server", "restore", file, "--settings", second.settings()});
  std::cout << MustRun(
      {Binary("berth"), "server", "verify", "--local", "--settings", second.settings()});
  second.Start();
  channel = SignIn(second);
  const std::set<std::string> images = ReleasedImages(channel.get());
  for (const std::string& image : before) CHECK(images.count(image) == 1);
  for (const std::string& image : after) CHECK(images.count(image) == 0);
  CHECK(testing::Eventually(kDoneWithin, [&] { return follower.history_changed(); }));
  CHECK(
      testing::Eventually(kDoneWithin, [&] { return follower.newest_release() == images.size(); }));
  // It goes on as a server does, and its logs hold.
  Deploy(channel.get(), static_cast<int>(released));
  for (const char* service : kServices) CHECK(Verify(channel.get(), service) == absl::OkStatus());
}

TEST_CASE("a backup of logs in files is restored into a database, and back") {
  const testing::TempDir folder;
  testing::PostgresCluster cluster;
  const std::vector<std::string> addresses = FreeAddresses(3);
  const std::string file = folder.File("backup");
  LoneServer first(folder.File("first"), addresses[0]);
  first.Start();
  std::shared_ptr<rpc::Channel> channel = SignIn(first);
  for (int i = 0; i < kBefore; ++i) Deploy(channel.get(), i);
  const std::set<std::string> images = ReleasedImages(channel.get());
  MustRun({Binary("berth"), "server", "backup", file, "--settings", first.settings()});
  first.Kill();

  LoneServer second(folder.File("second"), addresses[1], cluster.NewDatabase());
  const std::vector<std::string> restore = {Binary("berth"), "server",         "restore", file,
                                            "--settings",    second.settings()};
  std::cout << MustRun(restore);
  std::cout << MustRun(
      {Binary("berth"), "server", "verify", "--local", "--settings", second.settings()});
  second.Start();
  channel = SignIn(second);
  CHECK(ReleasedImages(channel.get()) == images);
  Deploy(channel.get(), kBefore);
  for (const char* service : kServices) CHECK(Verify(channel.get(), service) == absl::OkStatus());
  const std::string back = folder.File("back");
  MustRun({Binary("berth"), "server", "backup", back, "--settings", second.settings()});
  second.Kill();
  // What is in the database is not replaced, wherever the folder went.
  std::filesystem::rename(folder.File("second"), folder.File("second-before"));
  const Finished again = Program(restore).Wait(kDoneWithin);
  CHECK(again.exit_code != 0);
  CHECK_THAT(again.err, Catch::Contains("drop Berth's tables"));
  CHECK_FALSE(std::filesystem::exists(folder.File("second")));

  LoneServer third(folder.File("third"), addresses[2]);
  MustRun({Binary("berth"), "server", "restore", back, "--settings", third.settings()});
  third.Start();
  CHECK(ReleasedImages(SignIn(third).get()).size() == images.size() + 1);
}

}  // namespace
}  // namespace berth::integration
