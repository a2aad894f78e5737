#include "common/history/record_view.h"

#include <catch2/catch.hpp>

#include "berth/auth/v1/events.pb.h"
#include "berth/config/v1/events.pb.h"
#include "common/testing/printers.h"

namespace berth {
namespace {

using eventlog::v1::Record;
using eventlog::v1::RecordFilter;
using eventlog::v1::RecordView;

config::v1::Event Deleted(const std::string& org, const std::string& app) {
  config::v1::Event event;
  types::v1::EnvironmentName* name = event.mutable_environment_deleted()->mutable_environment();
  name->set_org(org);
  name->set_app(app);
  name->set_env("production");
  return event;
}

void AddEvent(const config::v1::Event& event, Record* record) {
  eventlog::v1::StoredEvent* stored = record->add_events();
  stored->set_type(static_cast<uint32_t>(event.event_case()));
  event.SerializeToString(stored->mutable_payload());
}

std::optional<RecordView> Seen(const Record& record, const std::string& org) {
  return ViewOf(record, config::v1::Event::default_instance(), org);
}

TEST_CASE("a record is seen by whoever reads the org that it is about", "[history]") {
  Record record;
  record.set_stream("config");
  record.set_position(7);
  record.set_org("acme");
  record.add_resources("hello/production");
  record.mutable_actor()->set_principal("user/ada");
  record.mutable_actor()->set_address("ipv4:10.0.0.9:1");
  record.mutable_outcome()->set_code(7);
  record.mutable_outcome()->set_message("not allowed");
  record.set_answer("what nobody is shown");

  const std::optional<RecordView> own = Seen(record, "acme");
  REQUIRE(own.has_value());
  CHECK(own->refusal() == "not allowed");
  CHECK(own->actor().address() == "ipv4:10.0.0.9:1");
  CHECK(own->SerializeAsString().find("nobody is shown") == std::string::npos);
  CHECK(Seen(record, "").has_value());
  CHECK_FALSE(Seen(record, "globex").has_value());
}

TEST_CASE("of a record about several orgs each sees its own part", "[history]") {
  Record record;
  record.add_resources("globex-only/production");
  AddEvent(Deleted("acme", "hello"), &record);
  AddEvent(Deleted("globex", "rocket"), &record);

  const std::optional<RecordView> acme = Seen(record, "acme");
  REQUIRE(acme.has_value());
  CHECK(acme->events_size() == 1);
  CHECK(acme->events(0).name() == "environment_deleted");
  CHECK(acme->SerializeAsString().find("globex") == std::string::npos);
  CHECK(acme->SerializeAsString().find("rocket") == std::string::npos);
  CHECK(Seen(record, "")->events_size() == 2);
  CHECK_FALSE(Seen(record, "initech").has_value());
}

TEST_CASE("an event that names a host only is its org's by what the log says", "[history]") {
  Record record;
  AddEvent(Deleted("", ""), &record);
  record.mutable_events(0)->set_org("acme");
  CHECK(Seen(record, "acme").has_value());
  CHECK_FALSE(Seen(record, "globex").has_value());
}

TEST_CASE("hashes of tokens are not shown", "[history]") {
  auth::v1::Event event;
  event.mutable_token_issued()->set_token_hash("the hash of a token");
  event.mutable_token_issued()->set_principal("user/ada");
  Record record;
  eventlog::v1::StoredEvent* stored = record.add_events();
  stored->set_type(static_cast<uint32_t>(event.event_case()));
  event.SerializeToString(stored->mutable_payload());
  const auto view = ViewOf(record, auth::v1::Event::default_instance(), "");
  REQUIRE(view.has_value());
  auth::v1::Event shown;
  REQUIRE(shown.ParseFromString(view->events(0).payload()));
  CHECK(shown.token_issued().principal() == "user/ada");
  CHECK(shown.token_issued().token_hash().empty());
  // One or many.
  event.mutable_tokens_expired()->add_join_token_hashes("the hash of a token");
  stored->set_type(static_cast<uint32_t>(event.event_case()));
  event.SerializeToString(stored->mutable_payload());
  const auto expired = ViewOf(record, auth::v1::Event::default_instance(), "");
  REQUIRE(expired.has_value());
  REQUIRE(shown.ParseFromString(expired->events(0).payload()));
  CHECK(shown.has_tokens_expired());
  CHECK(shown.tokens_expired().join_token_hashes().empty());
}

TEST_CASE("an event that is too large to show is named", "[history]") {
  config::v1::Event event = Deleted("acme", "hello");
  event.mutable_environment_deleted()->mutable_environment()->set_env(
      std::string(kShownEventBytesMax, 'x'));
  Record record;
  AddEvent(event, &record);
  const auto view = Seen(record, "acme");
  REQUIRE(view.has_value());
  CHECK(view->events(0).name() == "environment_deleted");
  CHECK(view->events(0).payload().empty());
}

TEST_CASE("a filter asks who and what", "[history]") {
  RecordView view;
  view.mutable_actor()->set_principal("user/ada");
  view.add_resources("hello/production");
  view.add_resources("host/alpha");
  RecordFilter filter;
  CHECK(Matches(filter, view));
  SECTION("by who asked") {
    filter.set_actor("user/ada");
    CHECK(Matches(filter, view));
    filter.set_actor("user/ad");
    CHECK_FALSE(Matches(filter, view));
  }
  SECTION("by what it is about") {
    const auto [resource, matches] = GENERATE(table<std::string, bool>({{"hello/production", true},
                                                                        {"host/alpha", true},
                                                                        {"hello", true},
                                                                        {"hell", false},
                                                                        {"hello/staging", false},
                                                                        {"host/alph", false}}));
    CAPTURE(resource);
    filter.set_resource(resource);
    CHECK(Matches(filter, view) == matches);
  }
}

}  // namespace
}  // namespace berth
