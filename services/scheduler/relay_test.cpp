#include "services/scheduler/relay.h"

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status/error_details.h"
#include "common/testing/printers.h"

namespace berth::scheduler {
namespace {

// A stream that sends at once what its conversation has, on the thread that wakes or ends it, as
// the server does; or nothing, while its reader is slow and it has not ended.
class FakeStream : public rpc::Stream {
 public:
  void Begin(std::shared_ptr<rpc::Conversation> begun) override {
    conversation = std::move(begun);
    Pump();
  }
  void Wake() override { Pump(); }
  void End(absl::Status status) override {
    if (!ended.has_value()) ended = std::move(status);
    reading = true;
    Pump();
  }

  // The call is over.
  void Detach() { conversation.reset(); }

  void Pump() {
    if (conversation == nullptr) return;
    while (reading) {
      const WatchFrame frame = conversation->Next();
      if (frame.empty()) return;
      std::string bytes;
      for (const auto& piece : frame) bytes += *piece;
      sent.push_back(bytes);
    }
  }

  std::shared_ptr<rpc::Conversation> conversation;
  bool reading = true;
  std::vector<std::string> sent;
  std::optional<absl::Status> ended;
};

// A host's agent at the other end of its stream.
struct Agent {
  Agent(Relay* relay, const std::string& host) { relay->Connect(host, stream); }

  std::vector<v1::RelayDown> Told() const {
    std::vector<v1::RelayDown> told;
    for (const std::string& bytes : stream->sent) {
      REQUIRE(told.emplace_back().ParseFromString(bytes));
    }
    return told;
  }

  void Say(const v1::RelayUp& up) {
    REQUIRE(stream->conversation->Receive(up.SerializeAsString()).ok());
  }
  void Print(uint64_t session, const std::string& line) {
    v1::RelayUp up;
    up.set_session(session);
    up.mutable_line()->set_line(line);
    Say(up);
  }
  void End(uint64_t session, const std::string& error = "") {
    v1::RelayUp up;
    up.set_session(session);
    up.mutable_ended()->set_error(error);
    Say(up);
  }

  std::shared_ptr<FakeStream> stream = std::make_shared<FakeStream>();
};

v1::OpenLogs LogsOf(const std::string& instance) {
  v1::OpenLogs request;
  request.set_instance(instance);
  return request;
}

// A client that reads logs.
struct Reader {
  explicit Reader(Relay* relay, LogsConversation::End end = LogsConversation::End::kWithTheLast) {
    conversation = std::make_shared<LogsConversation>(relay, stream, end);
  }
  void Read(const std::string& host, const std::string& instance, uint32_t attempt = 1) {
    LogsConversation::Add(conversation, host, LogsOf(instance), attempt);
  }
  void Begin() {
    stream->Begin(conversation);
    conversation->AllAdded();
    conversation.reset();
  }
  std::vector<std::string> Lines() const {
    std::vector<std::string> lines;
    for (const std::string& bytes : stream->sent) {
      v1::LogsResponse line;
      REQUIRE(line.ParseFromString(bytes));
      lines.push_back(line.line());
    }
    return lines;
  }

  std::shared_ptr<FakeStream> stream = std::make_shared<FakeStream>();
  std::shared_ptr<LogsConversation> conversation;
};

TEST_CASE("who follows an environment gets the lines of what takes an instance's place",
          "[scheduler][relay]") {
  Relay relay;
  Agent agent(&relay, "alpha");
  Reader reader(&relay, LogsConversation::End::kWhenTheClientGoes);
  const std::shared_ptr<LogsConversation> conversation = reader.conversation;
  reader.Read("alpha", "web-1");
  reader.Begin();
  agent.Print(agent.Told()[0].session(), "one");
  agent.End(agent.Told()[0].session());
  CHECK_FALSE(reader.stream->ended.has_value());
  // Said with every report of it.
  for (int i = 0; i < 2; ++i) LogsConversation::Add(conversation, "alpha", LogsOf("web-2"), 1);
  REQUIRE(agent.Told().size() == 2);
  agent.Print(agent.Told()[1].session(), "two");
  LogsConversation::Add(conversation, "alpha", LogsOf("web-2"), 2);
  REQUIRE(agent.Told().size() == 3);
  agent.Print(agent.Told()[2].session(), "three");
  CHECK(reader.Lines() == std::vector<std::string>{"one", "two", "three"});
  agent.End(agent.Told()[1].session());
  SECTION("and is told when none can be read any more") {
    agent.stream->Detach();
    REQUIRE(reader.stream->ended.has_value());
    CHECK(ReasonOf(*reader.stream->ended) == reason::kHostUnreachable);
  }
}

TEST_CASE("lines come from the agent to the reader, until they end", "[scheduler][relay]") {
  Relay relay;
  Agent agent(&relay, "alpha");
  Reader reader(&relay);
  reader.Read("alpha", "web-1");
  reader.Begin();
  REQUIRE(agent.Told().size() == 1);
  CHECK(agent.Told()[0].open_logs().instance() == "web-1");
  const uint64_t session = agent.Told()[0].session();
  agent.Print(session, "one");
  agent.Print(session, "two");
  agent.Print(session + 1, "of nobody's session");
  CHECK(reader.Lines() == std::vector<std::string>{"one", "two"});
  CHECK_FALSE(reader.stream->ended.has_value());
  SECTION("well") {
    agent.End(session);
    CHECK(reader.stream->ended == absl::OkStatus());
  }
  SECTION("early") {
    agent.End(session, "no such instance");
    REQUIRE(reader.stream->ended.has_value());
    CHECK(reader.stream->ended->message() == "no such instance");
  }
  SECTION("because the reader has gone") {
    reader.stream->Detach();
    REQUIRE(agent.Told().size() == 2);
    CHECK(agent.Told()[1].has_close());
    CHECK(agent.Told()[1].session() == session);
    agent.Print(session, "to nobody");
  }
  SECTION("because the agent has disconnected") {
    agent.stream->Detach();
    REQUIRE(reader.stream->ended.has_value());
    CHECK(ReasonOf(*reader.stream->ended) == reason::kHostUnreachable);
  }
}

TEST_CASE("several instances end when the last one has", "[scheduler][relay]") {
  Relay relay;
  Agent alpha(&relay, "alpha");
  Agent beta(&relay, "beta");
  Reader reader(&relay);
  reader.Read("alpha", "web-1");
  reader.Read("beta", "web-2");
  SECTION("both well") {
    reader.Begin();
    alpha.End(alpha.Told()[0].session());
    CHECK_FALSE(reader.stream->ended.has_value());
    beta.Print(beta.Told()[0].session(), "still here");
    beta.End(beta.Told()[0].session());
    CHECK(reader.stream->ended == absl::OkStatus());
    CHECK(reader.Lines() == std::vector<std::string>{"still here"});
  }
  SECTION("with one that could not be reached, which is said in the end") {
    reader.Read("gamma", "web-3");
    reader.Begin();
    alpha.End(alpha.Told()[0].session());
    beta.End(beta.Told()[0].session());
    REQUIRE(reader.stream->ended.has_value());
    CHECK(ReasonOf(*reader.stream->ended) == reason::kHostUnreachable);
    CHECK_THAT(std::string(reader.stream->ended->message()), Catch::Contains("gamma"));
  }
}

TEST_CASE("an agent speaks only of its own sessions", "[scheduler][relay]") {
  Relay relay;
  Agent alpha(&relay, "alpha");
  Agent beta(&relay, "beta");
  Reader reader(&relay);
  reader.Read("alpha", "web-1");
  reader.Begin();
  beta.Print(alpha.Told()[0].session(), "forged");
  beta.End(alpha.Told()[0].session(), "forged");
  CHECK(reader.Lines().empty());
  CHECK_FALSE(reader.stream->ended.has_value());
}

TEST_CASE("an agent that connects anew ends what its older stream carried", "[scheduler][relay]") {
  Relay relay;
  Agent older(&relay, "alpha");
  Reader before(&relay);
  before.Read("alpha", "web-1");
  before.Begin();
  Agent newer(&relay, "alpha");
  REQUIRE(older.stream->ended.has_value());
  CHECK(older.stream->ended->code() == absl::StatusCode::kAborted);
  Reader after(&relay);
  after.Read("alpha", "web-1");
  after.Begin();
  older.stream->Detach();
  // The new stream knows nothing of the session: its reader would wait for ever.
  REQUIRE(before.stream->ended.has_value());
  CHECK(ReasonOf(*before.stream->ended) == reason::kHostUnreachable);
  newer.Print(newer.Told()[0].session(), "hello");
  CHECK(after.Lines() == std::vector<std::string>{"hello"});
  CHECK_FALSE(after.stream->ended.has_value());
}

TEST_CASE("a reader that is too slow is cut off", "[scheduler][relay]") {
  Relay relay;
  Agent agent(&relay, "alpha");
  Reader reader(&relay);
  FakeStream* const stream = reader.stream.get();
  stream->reading = false;
  reader.Read("alpha", "web-1");
  reader.Begin();
  const uint64_t session = agent.Told()[0].session();
  const std::string line(16 << 10, 'x');
  size_t bytes = 0;
  while (!stream->ended.has_value() && bytes <= 2 * Relay::kBytesWaitingMax) {
    agent.Print(session, line);
    bytes += line.size();
  }
  REQUIRE(stream->ended.has_value());
  CHECK(stream->ended->code() == absl::StatusCode::kResourceExhausted);
  CHECK(bytes <= Relay::kBytesWaitingMax + 2 * line.size());
  // What was kept for it was still sent, and nothing follows the gap.
  const size_t sent = stream->sent.size();
  CHECK(sent == bytes / line.size() - 1);
  agent.Print(session, line);
  CHECK(stream->sent.size() == sent);
}

TEST_CASE("what an agent says must be readable", "[scheduler][relay]") {
  Relay relay;
  Agent agent(&relay, "alpha");
  CHECK(agent.stream->conversation->Receive("\xff\xff").code() ==
        absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace berth::scheduler
