#include "cli/output.h"

#include <catch2/catch.hpp>

#include "berth/config/v1/config.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "cli/log_printer.h"
#include "cli/wording.h"

namespace berth::cli {
namespace {

const std::string kAddress("\xfd\x12\x34\x56\x78\x9a\x00\x01\0\0\0\0\0\0\x01\x00", 16);

TEST_CASE("a table's columns line up", "[cli][output]") {
  CHECK(RenderTable(
            {{"HOST", "STATE", "WHY"}, {{"a", "up", ""}, {"host-22", "lost", "no report"}}}) ==
        "HOST     STATE  WHY\n"
        "a        up\n"
        "host-22  lost   no report\n");
  CHECK(RenderTable({{"A", "B"}, {{"\xc3\xa9\xc3\xa9", "x"}, {"eee", "y"}}}) ==
        "A    B\n"
        "\xc3\xa9\xc3\xa9   x\n"
        "eee  y\n");
  CHECK(RenderTable({{"A"}, {}}) == "A\n");
}

TEST_CASE("what a cell holds cannot steer the terminal", "[cli][output]") {
  CHECK(RenderTable({{"A"}, {{"x\x1b[31m\ny"}}}) == "A\nx?[31m?y\n");
}

TEST_CASE("a document has schema and kind before its own fields", "[cli][json]") {
  CHECK(Document("Version", {{"client", "1.2"}}) ==
        "{\"schema\":\"berth.cli/v1\",\"kind\":\"Version\",\"client\":\"1.2\"}\n");
  CHECK(ListDocument("HostList", Json::array({{{"name", "a"}}})) ==
        "{\"schema\":\"berth.cli/v1\",\"kind\":\"HostList\",\"items\":[{\"name\":\"a\"}],"
        "\"nextPageToken\":\"\"}\n");
  CHECK(ListDocument("HostList", Json::array()) ==
        "{\"schema\":\"berth.cli/v1\",\"kind\":\"HostList\",\"items\":[],"
        "\"nextPageToken\":\"\"}\n");
}

TEST_CASE("a document of bytes that are no text is still JSON", "[cli][json]") {
  CHECK(Json::accept(Document("LogLine", {{"line", "\xff\xfe"}})));
}

TEST_CASE("messages are proto3 JSON with readable addresses", "[cli][json]") {
  scheduler::v1::Instance instance;
  instance.set_id("web-1");
  instance.set_process_type("web");
  instance.set_release(3);
  instance.set_address(kAddress);
  instance.mutable_observed()->set_phase(scheduler::v1::PHASE_READY);
  (*instance.mutable_ports())["http"] = 8080;
  CHECK(ToJson(instance).dump() ==
        R"({"id":"web-1","processType":"web","release":"3","host":"",)"
        R"("address":"fd12:3456:789a:1::100","intent":"INTENT_UNSPECIFIED",)"
        R"("observed":{"instance":"","attempt":0,"phase":"PHASE_READY","reason":"","logTail":[],)"
        R"("failure":"FAILURE_UNSPECIFIED"},)"
        R"("draining":false,"ports":{"http":8080},"restart":"0","givenUp":false})");
  scheduler::v1::Host host;
  host.set_prefix(kAddress.substr(0, 8));
  CHECK(ToJson(host)["prefix"] == "fd12:3456:789a:1::/64");
}

TEST_CASE("an instance's state is one word", "[cli][wording]") {
  scheduler::v1::Instance instance;
  CHECK(StateText(instance) == "placed");
  instance.mutable_observed()->set_phase(scheduler::v1::PHASE_PULLING);
  CHECK(StateText(instance) == "pulling");
  instance.mutable_observed()->set_phase(scheduler::v1::PHASE_READY);
  CHECK(StateText(instance) == "ready");
  instance.set_draining(true);
  CHECK(StateText(instance) == "draining");
  instance.set_intent(scheduler::v1::INTENT_STOP);
  CHECK(StateText(instance) == "stopping");
  instance.mutable_observed()->set_phase(scheduler::v1::PHASE_STOPPED);
  CHECK(StateText(instance) == "stopped");
}

TEST_CASE("an instance is reached on each of its ports", "[cli][wording]") {
  scheduler::v1::Instance instance;
  instance.set_address(kAddress);
  CHECK(Endpoints(instance).empty());
  (*instance.mutable_ports())["metrics"] = 9100;
  (*instance.mutable_ports())["http"] = 8080;
  CHECK(Endpoints(instance) ==
        std::vector<std::string>{"[fd12:3456:789a:1::100]:8080", "[fd12:3456:789a:1::100]:9100"});
}

TEST_CASE("times and sizes are short", "[cli][wording]") {
  CHECK(ElapsedText(absl::Milliseconds(1840)) == "1.8 s");
  CHECK(ElapsedText(absl::Seconds(125)) == "2m05s");
  CHECK(AgeText(absl::Seconds(119)) == "119s");
  CHECK(AgeText(absl::Minutes(119)) == "119m");
  CHECK(AgeText(absl::Hours(47)) == "47h");
  CHECK(AgeText(absl::Hours(49)) == "2d");
  CHECK(BytesText(uint64_t{128} << 20) == "128 MiB");
  CHECK(BytesText(uint64_t{3} << 29) == "1.5 GiB");
  CHECK(ShortImage("ghcr.io/a@sha256:0123456789abcdef") == "ghcr.io/a@sha256:0123456789ab");
  CHECK(ShortImage("ghcr.io/a:1") == "ghcr.io/a:1");
}

TEST_CASE("an age is never negative", "[cli][wording]") {
  google::protobuf::Timestamp time;
  CHECK(AgeText(time, absl::FromUnixSeconds(100)).empty());
  time.set_seconds(130);
  CHECK(AgeText(time, absl::FromUnixSeconds(100)) == "0s");
  CHECK(AgeText(time, absl::FromUnixSeconds(160)) == "30s");
}

TEST_CASE("a log line is printed in the style asked for", "[cli][logs]") {
  scheduler::v1::LogsResponse line;
  line.set_instance("web-1");
  line.set_stream(scheduler::v1::OUTPUT_STREAM_STDERR);
  line.set_line("hello");
  CHECK(LogPrinter(LogPrinter::Style::kPlain, true).Render(line) == "hello\n");
  CHECK(LogPrinter(LogPrinter::Style::kPrefixed, false).Render(line) == "web-1 | hello\n");
  CHECK(LogPrinter(LogPrinter::Style::kJson, true).Render(line) ==
        R"({"schema":"berth.cli/v1","kind":"LogLine","instance":"web-1","stream":"stderr",)"
        R"("line":"hello"})"
        "\n");
}

TEST_CASE("each instance keeps its colour", "[cli][logs]") {
  LogPrinter printer(LogPrinter::Style::kPrefixed, true);
  scheduler::v1::LogsResponse line;
  line.set_instance("web-1");
  CHECK(printer.Render(line) == "\x1b[36mweb-1 |\x1b[0m \n");
  line.set_instance("web-2");
  CHECK(printer.Render(line) == "\x1b[32mweb-2 |\x1b[0m \n");
  line.set_instance("web-1");
  CHECK(printer.Render(line) == "\x1b[36mweb-1 |\x1b[0m \n");
}

}  // namespace
}  // namespace berth::cli
