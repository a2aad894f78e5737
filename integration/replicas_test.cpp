// Three copies of berth-server on one PostgreSQL, under load, while processes are killed and
// stopped and the database is restarted: what was acknowledged is there, once, and watches miss
// nothing.

#include "integration/harness/replicas.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "berth/auth/v1/auth.pb.h"
#include "berth/config/v1/config.pb.h"
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
#include "common/testing/eventually.h"
#include "common/testing/printers.h"
#include "integration/harness/long_run.h"

namespace berth::integration {
namespace {

using config::v1::DeployRequest;
using config::v1::DeployResponse;

const int kGrpcPrepared = (rpc::PrepareGrpc(), 0);

constexpr int kWriters = 3;
constexpr absl::Duration kBetweenDeploys = absl::Milliseconds(25);
// So that a list of an app's releases fits into a message.
constexpr int kReleasesOfAnApp = 500;
constexpr absl::Duration kBetweenFaults = absl::Seconds(10);
constexpr absl::Duration kServedWithin = absl::Seconds(60);
// The longest that nobody may serve: a lease, a standby's look, and a slow machine.
constexpr absl::Duration kUnavailableMax = absl::Seconds(30);

void LetPass(absl::Duration time) {
  (void)testing::Eventually(time, [] { return false; });
}

std::string TextOf(const std::string& path) {
  std::string text = ReadFile(path, 64 << 10).value();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::string ManifestOf(const std::string& app) {
  return absl::StrCat("schema: berth/v1\napp: ", app,
                      "\nimage: registry.example.com/load\nprocesses:\n"
                      "  web: {resources: {cpu: 50m, memory: 16MiB}}\n");
}

// Signed in as the platform's administrator, through whichever copy leads.
std::shared_ptr<rpc::Channel> SignIn(const Replicas& replicas) {
  rpc::ChannelOptions options;
  options.address = replicas.addresses();
  options.ca_pem = TextOf(replicas.File(0, "ca.pem")) + "\n";
  auth::v1::LoginRequest login;
  login.set_bootstrap_token(TextOf(replicas.File(0, "bootstrap-token")));
  rpc::CallOptions same;
  same.request_id = "sign-in";
  absl::StatusOr<auth::v1::LoginResponse> signed_in = absl::UnknownError("not asked");
  testing::Eventually(kServedWithin, [&] {
    signed_in = rpc::Channel::Open(options)->Call<auth::v1::LoginResponse>(login, same);
    return signed_in.ok();
  });
  REQUIRE(signed_in.status() == absl::OkStatus());
  options.token = signed_in->token();
  return rpc::Channel::Open(options);
}

// Deploys again and again, each time another image, and asks again with the same request id until
// it is told what became of it. What it was told is what has to be found.
class Writer {
 public:
  Writer(int number, std::shared_ptr<rpc::Channel> channel)
      : number_(number), channel_(std::move(channel)), thread_([this] { Run(); }) {}
  ~Writer() {
    if (thread_.joinable()) Finish();
  }

  void Finish() {
    stopping_ = true;
    thread_.join();
  }

  // When the last deploy was acknowledged that began after this moment.
  absl::Time AcknowledgedSince(absl::Time moment) const {
    MutexLock lock(&mutex_);
    return last_begun_ >= moment ? last_acknowledged_ : absl::InfiniteFuture();
  }

  // After Finish: by app, the images of which it was told that they are released.
  const std::map<std::string, std::vector<std::string>>& acknowledged() const {
    return acknowledged_;
  }
  const std::vector<std::string>& refusals() const { return refusals_; }
  uint64_t repeats() const { return repeats_; }

 private:
  void Run() {
    for (int i = 0; !stopping_; ++i) {
      const std::string app = absl::StrCat("load-", number_, "-", i / kReleasesOfAnApp);
      DeployRequest request;
      request.set_org("home");
      request.set_manifest_yaml(ManifestOf(app));
      request.set_image(absl::StrCat("registry.example.com/load@sha256:",
                                     HexEncode(Blake2b256({absl::StrCat(number_, "/", i)}))));
      rpc::CallOptions options;
      options.request_id = absl::StrCat("writer-", number_, "-", i);
      absl::Status status;
      do {
        const absl::Time begun = absl::Now();
        status = channel_->Call<DeployResponse>(request, options).status();
        if (status.ok()) {
          MutexLock lock(&mutex_);
          last_begun_ = begun;
          last_acknowledged_ = absl::Now();
        } else {
          ++repeats_;
          LetPass(kBetweenDeploys);
        }
      } while (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status));
      if (status.ok()) {
        acknowledged_[app].push_back(request.image());
      } else {
        refusals_.push_back(status.ToString());
      }
      LetPass(kBetweenDeploys);
    }
  }

  const int number_;
  const std::shared_ptr<rpc::Channel> channel_;
  std::atomic<bool> stopping_ = false;
  std::map<std::string, std::vector<std::string>> acknowledged_;
  std::vector<std::string> refusals_;
  uint64_t repeats_ = 0;
  mutable Mutex mutex_;
  absl::Time last_begun_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Time last_acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;  // Last: it uses the others.
};

// Follows all environments as the services do, with the address of one copy first.
class Follower {
 public:
  Follower(const Replicas& replicas, size_t nearest) {
    const auto identity = MachineIdentity::LoadOrCreate(replicas.File(0, "scheduler/identity"));
    REQUIRE(identity.status() == absl::OkStatus());
    auto options =
        rpc::MachineChannel(*identity, "service/scheduler",
                            absl::StrCat(replicas.address(nearest), ",", replicas.addresses()),
                            TextOf(replicas.File(0, "ca.pem")) + "\n");
    REQUIRE(options.status() == absl::OkStatus());
    const auto channel = rpc::Channel::Open(*options);
    executor_.Post([this, channel] {
      subscription_ = std::make_unique<rpc::Subscription>(
          "environments", rpc::Subscription::Over<config::v1::WatchEnvironmentsRequest>(channel),
          WatchClient(), &executor_, &ids_,
          [this](const WatchClient::Update& update) { Updated(update); },
          [this](const absl::Status& status) {
            MutexLock lock(&mutex_);
            if (absl::IsDataLoss(status)) broken_.push_back(status.ToString());
          });
      subscription_->Start();
    });
  }
  ~Follower() { executor_.Stop(); }

  // What of the guarantees did not hold.
  std::vector<std::string> broken() const {
    MutexLock lock(&mutex_);
    return broken_;
  }
  // The newest release of each environment, as of what it has heard.
  std::map<std::string, uint64_t> newest() const {
    MutexLock lock(&mutex_);
    return newest_;
  }

 private:
  void Updated(const WatchClient::Update& update) {
    MutexLock lock(&mutex_);
    if (update.history_changed) broken_.push_back("the history is another one");
    for (const std::string& key : update.keys) {
      const auto& entries = subscription_->client().entries();
      const auto entry = entries.find(key);
      if (entry == entries.end()) continue;
      config::v1::Environment environment;
      if (!environment.ParseFromString(entry->second)) continue;
      uint64_t& newest = newest_[environment.name().app()];
      const uint64_t now = environment.newest_release();
      if (now < newest) broken_.push_back(absl::StrCat(key, " went back to release ", now));
      // A delta is what one record changed, so that each release is told of.
      if (!update.snapshot && update.keys.size() == 1 && now > newest + 1) {
        broken_.push_back(absl::StrCat(key, " skipped from ", newest, " to ", now));
      }
      newest = now;
    }
  }

  RandomIdSource ids_;
  ThreadExecutor executor_{"follower"};
  mutable Mutex mutex_;
  std::vector<std::string> broken_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, uint64_t> newest_ ABSL_GUARDED_BY(mutex_);
  // On the executor only, and gone before it.
  std::unique_ptr<rpc::Subscription> subscription_;
};

// Load, watchers, and what is found of it at the end.
class Trial {
 public:
  explicit Trial(Replicas* replicas) : channel_(SignIn(*replicas)) {
    for (size_t i = 0; i < replicas->size(); ++i) {
      followers_.push_back(std::make_unique<Follower>(*replicas, i));
    }
    for (int i = 0; i < kWriters; ++i) {
      writers_.push_back(std::make_unique<Writer>(i, SignIn(*replicas)));
    }
  }

  // How long it took until a deploy was acknowledged that began after `moment`.
  absl::Duration UnavailableSince(absl::Time moment) {
    absl::Time served = absl::InfiniteFuture();
    testing::Eventually(kServedWithin, [&] {
      for (const auto& writer : writers_) {
        served = std::min(served, writer->AcknowledgedSince(moment));
      }
      return served < absl::InfiniteFuture();
    });
    return served - moment;
  }

  void Check() {
    std::map<std::string, std::vector<std::string>> acknowledged;
    uint64_t repeats = 0;
    for (const auto& writer : writers_) {
      writer->Finish();
      CHECK(writer->refusals() == std::vector<std::string>());
      acknowledged.insert(writer->acknowledged().begin(), writer->acknowledged().end());
      repeats += writer->repeats();
    }
    size_t told = 0;
    size_t found = 0;
    std::map<std::string, uint64_t> newest;
    for (const auto& [app, images] : acknowledged) {
      config::v1::ListReleasesRequest request;
      request.mutable_environment()->set_org("home");
      request.mutable_environment()->set_app(app);
      request.mutable_environment()->set_env("production");
      const auto listed = channel_->Call<config::v1::ListReleasesResponse>(request);
      REQUIRE(listed.status() == absl::OkStatus());
      std::map<std::string, int> times;
      for (const config::v1::Release& release : listed->releases()) ++times[release.image()];
      for (const std::string& image : images) {
        INFO(app << " " << image);
        CHECK(times[image] == 1);
      }
      told += images.size();
      found += static_cast<size_t>(listed->releases_size());
      newest[app] = static_cast<uint64_t>(listed->releases_size());
    }
    std::cout << "acknowledged " << told << ", found " << found << ", asked again " << repeats
              << " times" << std::endl;
    CHECK(told > 0);
    CHECK(found == told);
    for (const auto& follower : followers_) {
      CHECK(testing::Eventually(kServedWithin, [&] { return follower->newest() == newest; }));
      CHECK(follower->broken() == std::vector<std::string>());
    }
  }

 private:
  const std::shared_ptr<rpc::Channel> channel_;
  std::vector<std::unique_ptr<Follower>> followers_;
  std::vector<std::unique_ptr<Writer>> writers_;
};

size_t MustLead(const Replicas& replicas) {
  std::optional<size_t> leader;
  REQUIRE(testing::Eventually(kServedWithin, [&] {
    leader = replicas.Leader();
    return leader.has_value();
  }));
  return *leader;
}

TEST_CASE("the leader of three is killed, stopped and ended in turn, and nothing is lost") {
  Replicas replicas(3);
  Trial trial(&replicas);
  trial.UnavailableSince(absl::Now());
  const absl::Time end = absl::Now() + UsualOr(absl::Seconds(30), absl::Minutes(5));
  const char* const kFaults[] = {"kill -9", "SIGSTOP", "SIGTERM"};
  for (int round = 0; absl::Now() < end; ++round) {
    const std::string fault = kFaults[round % 3];
    const size_t leader = MustLead(replicas);
    const absl::Time moment = absl::Now();
    if (fault == "kill -9") replicas.Kill(leader);
    if (fault == "SIGSTOP") replicas.Stop(leader);
    if (fault == "SIGTERM") replicas.Terminate(leader);
    const absl::Duration unavailable = trial.UnavailableSince(moment);
    std::cout << fault << " of replica " << leader << ": unavailable for "
              << absl::ToDoubleSeconds(unavailable) << " s" << std::endl;
    CHECK(unavailable < kUnavailableMax);
    CHECK(MustLead(replicas) != leader);
    // A stopped one comes back long after its lease has ended, and has to find that out.
    LetPass(moment + kBetweenFaults - absl::Now());
    if (fault == "SIGSTOP") {
      replicas.Continue(leader);
    } else {
      replicas.Start(leader);
    }
  }
  trial.Check();
}

// Clients give an attempt up after three seconds and the lease lasts five, so such a leader is left
// with calls that nobody waits for, while the same requests are on their way to it again.
TEST_CASE("a leader that stood still for less than its lease goes on, and nothing is lost") {
  Replicas replicas(3);
  Trial trial(&replicas);
  trial.UnavailableSince(absl::Now());
  for (int round = 0; round < UsualOr(2, 20); ++round) {
    const size_t leader = MustLead(replicas);
    replicas.Stop(leader);
    LetPass(absl::Seconds(4));
    replicas.Continue(leader);
    CHECK(trial.UnavailableSince(absl::Now()) < kUnavailableMax);
  }
  trial.Check();
}

TEST_CASE("any replica and the database are killed, stopped and restarted, and nothing is lost") {
  const uint32_t seed = std::getenv("BERTH_SEED") != nullptr
                            ? static_cast<uint32_t>(std::atol(std::getenv("BERTH_SEED")))
                            : std::random_device()();
  std::cout << "BERTH_SEED=" << seed << std::endl;
  std::mt19937 random(seed);
  Replicas replicas(3);
  Trial trial(&replicas);
  trial.UnavailableSince(absl::Now());
  const absl::Time end = absl::Now() + UsualOr(absl::Seconds(30), absl::Hours(1));
  while (absl::Now() < end) {
    const size_t victim = random() % replicas.size();
    const absl::Duration pause = absl::Milliseconds(random() % 4000);
    switch (random() % 3) {
      case 0:
        replicas.Kill(victim);
        LetPass(pause);
        replicas.Start(victim);
        break;
      case 1:
        replicas.Stop(victim);
        LetPass(2 * pause);
        replicas.Continue(victim);
        break;
      default:
        replicas.database().Stop();
        LetPass(pause / 2);
        replicas.database().Start();
        break;
    }
    LetPass(absl::Milliseconds(random() % 2000));
  }
  std::cout << "served again " << absl::ToDoubleSeconds(trial.UnavailableSince(absl::Now()))
            << " s after the last fault" << std::endl;
  trial.Check();
}

}  // namespace
}  // namespace berth::integration
