#include "integration/bench/peers.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "berth/watch/v1/watch.pb.h"
#include "common/crypto/certificates.h"
#include "common/crypto/signature.h"
#include "common/testing/eventually.h"
#include "etcd.pb.h"
#include "keyvalue.pb.h"

namespace berth::bench {
namespace {

using integration::Program;

constexpr absl::Duration kStartMax = absl::Seconds(30);
constexpr char kEtcdClients[] = "127.0.0.1:2379";
constexpr char kEtcdName[] = "etcd.internal";

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string Binary(const std::string& name) {
  const char* const folder = std::getenv("BERTH_BIN");
  if (folder == nullptr) throw std::runtime_error("BERTH_BIN does not say where the programs are");
  return absl::StrCat(folder, "/", name);
}

// Leaves etcd's certificate and key in the folder; the authority's certificate.
std::string Certify(const std::string& folder) {
  const CertificateAuthority ca = CertificateAuthority::Generate().value();
  const SigningKey key = SigningKey::Generate();
  std::ofstream(folder + "/etcd.pem")
      << ca.IssueServerCertificate(key.public_key(), {kEtcdName}, {"127.0.0.1"}).value();
  std::ofstream(folder + "/etcd-key.pem") << PrivateKeyPem(key).value();
  return ca.certificate_pem();
}

void AwaitStart(const Program& program, const std::string& name,
                const std::function<bool()>& started) {
  if (testing::Eventually(kStartMax, [&] { return started() || program.HasEnded(); }) &&
      !program.HasEnded()) {
    return;
  }
  throw std::runtime_error(name + " does not start: " + program.ErrSoFar());
}

}  // namespace

std::string KeyOf(uint64_t number) { return absl::StrCat("key-", number % kKeys); }

KeyValueServer::KeyValueServer(const std::string& folder)
    : folder_(folder), program_({Binary("bench_keyvalue_server"), folder}) {
  AwaitStart(program_, "bench_keyvalue_server",
             [&] { return absl::SimpleAtoi(program_.OutSoFar(), &port_); });
}

LoadTarget KeyValueServer::Puts() const {
  LoadTarget target;
  target.address = absl::StrCat("127.0.0.1:", port_);
  target.ca_pem = TextOf(folder_ + "/ca.pem");
  target.server_name = "keyvalue.berth.internal";
  target.method = "/berth.keyvalue.v1.KeyValueService/Put";
  target.metadata = {{"authorization", "Bearer " + TextOf(folder_ + "/token")}};
  target.call_key = "berth-request-id";
  target.request = [](uint64_t number) {
    keyvalue::v1::PutRequest request;
    request.set_org("acme");
    request.set_key(KeyOf(number));
    request.set_value(ValueOfNow(kValueBytes));
    return request.SerializeAsString();
  };
  return target;
}

WatchTarget KeyValueServer::Watches() const {
  const LoadTarget puts = Puts();
  WatchTarget target;
  target.address = puts.address;
  target.ca_pem = puts.ca_pem;
  target.server_name = puts.server_name;
  target.method = "/berth.keyvalue.v1.KeyValueService/Watch";
  target.metadata = puts.metadata;
  keyvalue::v1::WatchRequest request;
  request.set_org("acme");
  target.request = request.SerializeAsString();
  target.half_close = true;
  target.read = [](const std::string& bytes) {
    WatchTarget::Brought brought;
    watch::v1::WatchResponse message;
    if (!message.ParseFromString(bytes)) throw std::runtime_error("not a WatchResponse");
    brought.begun = message.has_synced();
    for (const watch::v1::Delta& delta : message.deltas()) {
      for (const watch::v1::Change& change : delta.changes()) {
        brought.changes.push_back(change.value());
      }
    }
    return brought;
  };
  return target;
}

Etcd::Etcd(const std::string& folder)
    : ca_pem_(Certify(folder)),
      program_({"etcd", "--data-dir", folder + "/etcd", "--log-level", "error",
                "--listen-client-urls", absl::StrCat("https://", kEtcdClients),
                "--advertise-client-urls", absl::StrCat("https://", kEtcdClients), "--cert-file",
                folder + "/etcd.pem", "--key-file", folder + "/etcd-key.pem"}) {
  // It is there once it takes a put.
  AwaitStart(program_, "etcd", [&] {
    try {
      return CallFor(Puts(), 1, 1, absl::ZeroDuration()).calls > 0;
    } catch (const std::runtime_error&) {
      return false;
    }
  });
}

LoadTarget Etcd::Puts() const {
  LoadTarget target;
  target.address = kEtcdClients;
  target.ca_pem = ca_pem_;
  target.server_name = kEtcdName;
  target.method = "/etcdserverpb.KV/Put";
  target.request = [](uint64_t number) {
    etcdserverpb::PutRequest request;
    request.set_key(KeyOf(number));
    request.set_value(ValueOfNow(kValueBytes));
    return request.SerializeAsString();
  };
  return target;
}

WatchTarget Etcd::Watches() const {
  WatchTarget target;
  target.address = kEtcdClients;
  target.ca_pem = ca_pem_;
  target.server_name = kEtcdName;
  target.method = "/etcdserverpb.Watch/Watch";
  etcdserverpb::WatchRequest request;
  request.mutable_create_request()->set_key("key-");
  request.mutable_create_request()->set_range_end("key.");
  target.request = request.SerializeAsString();
  target.read = [](const std::string& bytes) {
    WatchTarget::Brought brought;
    etcdserverpb::WatchResponse message;
    if (!message.ParseFromString(bytes)) throw std::runtime_error("not a WatchResponse");
    brought.begun = message.created();
    for (const etcdserverpb::Event& event : message.events()) {
      brought.changes.push_back(event.kv().value());
    }
    return brought;
  };
  return target;
}

}  // namespace berth::bench
