#include "services/scheduler/execs.h"

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/exec/exec_grant.h"
#include "common/ids/sequential_id_source.h"
#include "common/testing/printers.h"

namespace berth::scheduler {
namespace {

constexpr char kAdmin[] = "user/admin";

// A stream whose reader takes a message when the test says so.
class FakeStream : public rpc::Stream {
 public:
  void Begin(std::shared_ptr<rpc::Conversation> begun) override { conversation = std::move(begun); }
  void Wake() override {}
  void End(absl::Status status) override {
    if (!ended.has_value()) ended = std::move(status);
  }

  // The next message; nullopt: there is none.
  template <typename Message>
  std::optional<Message> Take() const {
    const WatchFrame frame = conversation->Next();
    if (frame.empty()) return std::nullopt;
    Message message;
    REQUIRE(message.ParseFromString(*frame.front()));
    return message;
  }

  std::shared_ptr<rpc::Conversation> conversation;
  std::optional<absl::Status> ended;
};

// A person who runs a command on the host alpha, and alpha's agent.
struct Command {
  Command() {
    relay.Connect("alpha", agent);
    grant.set_host("alpha");
    grant.set_instance("web-1");
    grant.set_principal(kAdmin);
    grant.mutable_environment()->set_app("notes");
    grant.add_command("sh");
    grant.set_id("once");
    request.set_input(true);
  }

  // Begins it and takes what is told of that.
  void Begin() {
    execs.Begin(grant, key, request, person);
    const auto open = agent->Take<v1::RelayDown>();
    REQUIRE(open.has_value());
    const auto granted = VerifyExecGrant(open->open_exec().grant(), key.public_key());
    REQUIRE(granted.ok());
    REQUIRE(granted->command(0) == "sh");
    session = open->session();
    const auto started = person->Take<v1::ExecResponse>();
    REQUIRE(started.has_value());
    REQUIRE(started->started().instance() == "web-1");
    input.set_session(started->started().session());
    *input.mutable_environment() = grant.environment();
  }

  void Say(v1::RelayUp up) const {
    up.set_session(session);
    REQUIRE(agent->conversation->Receive(up.SerializeAsString()).ok());
  }
  void Print(const std::string& data) const {
    v1::RelayUp up;
    up.mutable_exec_output()->set_data(data);
    Say(up);
  }
  void SayTaken() const {
    v1::RelayUp up;
    up.mutable_exec_input_taken();
    Say(up);
  }

  // What comes of the input; nullopt: no answer yet.
  std::shared_ptr<std::optional<absl::Status>> Input(const std::string& principal = kAdmin) {
    auto answer = std::make_shared<std::optional<absl::Status>>();
    execs.Input(principal, input, [answer](absl::StatusOr<v1::ExecInputResponse> response) {
      *answer = response.status();
    });
    return answer;
  }

  SequentialIdSource ids;
  Relay relay;
  Execs execs{&relay, &ids};
  std::shared_ptr<FakeStream> agent = std::make_shared<FakeStream>();
  std::shared_ptr<FakeStream> person = std::make_shared<FakeStream>();
  const SigningKey key = SigningKey::Generate();
  v1::ExecGrant grant;
  v1::ExecRequest request;
  v1::ExecInputRequest input;
  uint64_t session = 0;
};

TEST_CASE("a command's output and exit code reach the person", "[scheduler][exec]") {
  Command command;
  command.Begin();
  command.Print("hello");
  v1::RelayUp up;
  up.mutable_exec_exited()->set_exit_code(3);
  command.Say(up);
  up.mutable_ended();
  command.Say(up);
  CHECK(command.person->Take<v1::ExecResponse>()->output().data() == "hello");
  CHECK(command.person->Take<v1::ExecResponse>()->exited().exit_code() == 3);
  CHECK(command.person->ended == absl::OkStatus());
}

TEST_CASE("the agent may send as much more as the person took", "[scheduler][exec]") {
  Command command;
  command.Begin();
  command.Print(std::string(1000, 'x'));
  CHECK_FALSE(command.agent->Take<v1::RelayDown>().has_value());
  CHECK(command.person->Take<v1::ExecResponse>().has_value());
  CHECK(command.agent->Take<v1::RelayDown>()->exec_credit().bytes() == 1000);
  CHECK_FALSE(command.person->ended.has_value());
  SECTION("and not a byte more") {
    command.Print(std::string(Execs::kOutputWindowBytes, 'x'));
    CHECK_FALSE(command.person->ended.has_value());
    command.Print("x");
    CHECK(command.person->ended->code() == absl::StatusCode::kInternal);
  }
}

TEST_CASE("input is answered once the agent has taken it, one piece at a time",
          "[scheduler][exec]") {
  Command command;
  command.Begin();
  command.input.mutable_input()->set_data("one");
  const auto first = command.Input();
  CHECK(command.agent->Take<v1::RelayDown>()->exec_input().data() == "one");
  CHECK_FALSE(first->has_value());
  CHECK((*command.Input())->code() == absl::StatusCode::kResourceExhausted);
  command.SayTaken();
  CHECK(*first == absl::OkStatus());
  const auto second = command.Input();
  CHECK_FALSE(second->has_value());
  SECTION("or has ended") {
    v1::RelayUp up;
    up.mutable_ended();
    command.Say(up);
    CHECK((*second)->code() == absl::StatusCode::kNotFound);
  }
  SECTION("or is gone") {
    command.agent->conversation.reset();
    CHECK((*second)->code() == absl::StatusCode::kUnavailable);
    CHECK(command.person->ended->code() == absl::StatusCode::kUnavailable);
  }
}

TEST_CASE("only whoever began a command writes to it", "[scheduler][exec]") {
  Command command;
  command.Begin();
  CHECK((*command.Input("user/eve"))->code() == absl::StatusCode::kNotFound);
  command.input.mutable_environment()->set_app("blog");
  CHECK((*command.Input())->code() == absl::StatusCode::kNotFound);
  CHECK_FALSE(command.agent->Take<v1::RelayDown>().has_value());
}

TEST_CASE("input beyond the limit is refused", "[scheduler][exec]") {
  Command command;
  command.Begin();
  command.input.mutable_input()->set_data(std::string(Execs::kInputBytesMax + 1, 'x'));
  CHECK((*command.Input())->code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("the agent is told when the person goes", "[scheduler][exec]") {
  Command command;
  command.Begin();
  const auto pending = command.Input();
  CHECK(command.agent->Take<v1::RelayDown>()->has_exec_input());
  command.person->conversation.reset();
  CHECK(command.agent->Take<v1::RelayDown>()->has_close());
  CHECK((*pending)->code() == absl::StatusCode::kCancelled);
  CHECK((*command.Input())->code() == absl::StatusCode::kNotFound);
}

TEST_CASE("a command on a host without an agent is refused", "[scheduler][exec]") {
  Command command;
  command.grant.set_host("beta");
  command.execs.Begin(command.grant, command.key, command.request, command.person);
  CHECK(command.person->ended->code() == absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace berth::scheduler
