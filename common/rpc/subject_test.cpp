#include "common/rpc/subject.h"

#include <catch2/catch.hpp>

#include "berth/auth/v1/auth.pb.h"
#include "berth/config/v1/config.pb.h"
#include "berth/scheduler/v1/events.pb.h"
#include "berth/secrets/v1/secrets.pb.h"

namespace berth::rpc {
namespace {

using Resources = std::set<std::string>;

types::v1::EnvironmentName Hello() {
  types::v1::EnvironmentName name;
  name.set_org("acme");
  name.set_app("hello");
  name.set_env("production");
  return name;
}

TEST_CASE("a request is about what it names", "[rpc][subject]") {
  SECTION("an environment and a secret of it") {
    secrets::v1::PutSecretRequest request;
    *request.mutable_environment() = Hello();
    request.set_name("api-key");
    const Subject subject = SubjectOf(request);
    CHECK(subject.org == "acme");
    CHECK(subject.resources == Resources{"hello/production", "secret/api-key"});
  }
  SECTION("a machine, by its kind") {
    auth::v1::RemoveMachineRequest request;
    request.set_org("acme");
    request.set_kind(auth::v1::MACHINE_KIND_EDGE);
    request.set_name("gate");
    CHECK(SubjectOf(request).resources == Resources{"edge/gate"});
  }
  SECTION("a person") {
    auth::v1::SetRoleRequest request;
    request.set_org("acme");
    request.set_principal("user/ada");
    CHECK(SubjectOf(request).resources == Resources{"user/ada"});
  }
  SECTION("only an org") {
    config::v1::DeployRequest request;
    request.set_org("acme");
    const Subject subject = SubjectOf(request);
    CHECK(subject.org == "acme");
    CHECK(subject.resources.empty());
  }
}

TEST_CASE("an event is about what it names, also deeper inside", "[rpc][subject]") {
  scheduler::v1::Event event;
  scheduler::v1::InstancePlaced* placed = event.mutable_instance_placed();
  placed->set_host("alpha");
  placed->mutable_assignment()->set_instance("web-k3v9x2a7ql");
  *placed->mutable_assignment()->mutable_environment() = Hello();
  const Subject subject = SubjectOf(event);
  CHECK(subject.org == "acme");
  CHECK(subject.resources ==
        Resources{"hello/production", "host/alpha", "instance/web-k3v9x2a7ql"});
}

TEST_CASE("names that nobody could have are none", "[rpc][subject]") {
  auth::v1::SetRoleRequest request;
  request.set_org("Acme; DROP");
  request.set_principal("user/\x1b[31m");
  const Subject subject = SubjectOf(request);
  CHECK(subject.org.empty());
  CHECK(subject.resources.empty());
}

}  // namespace
}  // namespace berth::rpc
