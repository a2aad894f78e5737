#include "cli/record_text.h"

#include <catch2/catch.hpp>

#include "berth/config/v1/events.pb.h"

namespace berth::cli {
namespace {

eventlog::v1::RecordView Deploy() {
  eventlog::v1::RecordView record;
  record.mutable_id()->set_stream("config");
  record.mutable_id()->set_position(7);
  record.mutable_time()->set_seconds(1'777'777'777);
  record.mutable_actor()->set_principal("user/ada");
  record.set_method("berth.config.v1.ConfigService.Deploy");
  record.add_resources("hello/production");
  return record;
}

TEST_CASE("a record is a row that a person reads", "[cli][record]") {
  eventlog::v1::RecordView record = Deploy();
  SECTION("with what changed, each kind once") {
    record.add_events()->set_name("release_created");
    record.add_events()->set_name("instance_placed");
    record.add_events()->set_name("instance_placed");
    CHECK(RecordCells(record) ==
          std::vector<std::string>{"2026-05-03 03:09:37", "user/ada",
                                   "deploy: release created, instance placed (2)",
                                   "hello/production", "config/7", "", "ok"});
  }
  SECTION("with why it was refused, and what led to it") {
    record.set_code(3);
    record.set_refusal("the image is not pinned");
    record.mutable_cause()->set_stream("auth");
    record.mutable_cause()->set_position(3);
    const std::vector<std::string> cells = RecordCells(record);
    CHECK(cells[2] == "deploy");
    CHECK(cells[5] == "auth/3");
    CHECK(cells[6] == "refused: the image is not pinned");
  }
  SECTION("that changed nothing") { CHECK(RecordCells(record)[6] == "no change"); }
}

TEST_CASE("nothing in a record acts on the terminal", "[cli][record]") {
  eventlog::v1::RecordView record = Deploy();
  record.set_code(3);
  record.set_refusal("bad\x1b[31m");
  CHECK(RecordLine(RecordCells(record)).find('\x1b') == std::string::npos);
}

TEST_CASE("programs get what the events hold", "[cli][record]") {
  config::v1::Event event;
  event.mutable_release_promoted()->set_release(3);
  eventlog::v1::RecordView record = Deploy();
  record.add_events()->set_name("release_promoted");
  event.SerializeToString(record.mutable_events(0)->mutable_payload());
  const Json json = RecordJson(record);
  CHECK(json["record"] == "config/7");
  CHECK(json["events"][0]["name"] == "release_promoted");
  CHECK(json["events"][0]["content"]["release"] == "3");
}

}  // namespace
}  // namespace berth::cli
