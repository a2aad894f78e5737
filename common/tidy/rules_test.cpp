// Every rule bites: it finds a planted violation, names its line, and lets the lawful pass.

#include "common/tidy/rules.h"

#include <catch2/catch.hpp>

namespace berth::tidy {
namespace {

std::vector<size_t> LinesFound(const std::vector<Finding>& findings) {
  std::vector<size_t> lines;
  for (const Finding& finding : findings) lines.push_back(finding.line);
  return lines;
}

using Lines = std::vector<size_t>;

TEST_CASE("a finding prints as file, line and rule", "[tidy][rules]") {
  CHECK(Format({{"a.h", 3, "one"}, {"b", 0, "two"}}) == "a.h:3: one\nb:0: two\n");
}

TEST_CASE("texts out of form are found", "[tidy][rules]") {
  const auto found = [](const std::string& path, const std::string& text) {
    return LinesFound(CheckText({path, text}));
  };
  const std::string hundred(100, 'x');
  CHECK(found("a.cpp", "int a;\n" + hundred + "\n").empty());
  CHECK(found("a.cpp", "int a;\n" + hundred + "x\n") == Lines{2});
  CHECK(found("a.cpp", "// " + hundred.substr(4) + "ä\n").empty());
  CHECK(found("a.md", "| " + hundred + " |\n").empty());
  CHECK(found("a.md", "[a](https://example.test/" + hundred + ")\n").empty());
  CHECK(found("a.md", hundred + "x\n") == Lines{1});
  CHECK(found("a.cpp", "int a;\n\tint b;\n") == Lines{2});
  CHECK(found("a.cpp", "int a; \nint b;\n") == Lines{1});
  CHECK(found("a.sh", "a\nb\r\n") == Lines{2});
  CHECK(found("a.cpp", "int a;\nint b;") == Lines{2});
  CHECK(found("a.cpp", "").empty());
  CHECK(found("a.cpp",
              "// TO"
              "DO: later\n") == Lines{1});
  CHECK(found("a.md",
              "FIX"
              "ME\n") == Lines{1});
  CHECK(found("a.md",
              "a TO"
              "DOLIST is no promise\n")
            .empty());
}

TEST_CASE("impure includes of pure files are found", "[tidy][rules]") {
  const std::string path =
      GENERATE("services/auth/state.h", "services/scheduler/reconcile.cpp",
               "services/scheduler/feasibility.h", "edge/client_hello.cpp", "agent/reconcile.h");
  const std::string include = GENERATE("<grpcpp/grpcpp.h>", "<grpc/grpc.h>", "<pqxx/pqxx>",
                                       "<thread>", "<chrono>", "<random>", "\"common/log/log.h\"");
  CHECK(LinesFound(CheckIncludes({path, "#pragma once\n#include " + include + "\n"})) == Lines{2});
  CHECK(CheckIncludes({path, "#pragma once\n#include " + include + "  // <why>\n"}).size() == 1);
  CHECK(CheckIncludes({path, "#pragma once\n#include <vector>  // <thread>\n"}).empty());
  CHECK(CheckIncludes({"services/auth/service.cpp", "#include " + include + "\n"}).empty());
  CHECK(CheckIncludes({"services/auth/state_test.cpp", "#include " + include + "\n"}).empty());
}

TEST_CASE("includes against the grain are found", "[tidy][rules]") {
  const auto found = [](const std::string& path, const std::string& included) {
    return CheckIncludes({path, "#include \"" + included + "\"\n"}).size();
  };
  CHECK(found("common/rpc/gate.cpp", "services/auth/roles.h") == 1);
  CHECK(found("common/rpc/gate.cpp", "agent/agent.h") == 1);
  CHECK(found("common/rpc/gate.cpp", "edge/listener.h") == 1);
  CHECK(found("common/rpc/gate.cpp", "cli/output.h") == 1);
  CHECK(found("common/rpc/gate.cpp", "common/rpc/gate.h") == 0);
  CHECK(found("services/auth/main.cpp", "services/config/service.h") == 1);
  CHECK(found("services/auth/main.cpp", "services/auth/service.h") == 0);
  CHECK(found("services/auth/main.cpp", "berth/config/v1/config.pb.h") == 0);
  CHECK(found("services/server/main.cpp", "services/config/service.h") == 0);
  CHECK(found("agent/agent.cpp", "sodium.h") == 1);
  CHECK(found("common/crypto/hash.cpp", "sodium.h") == 0);
}

TEST_CASE("an include that is only spoken about is none", "[tidy][rules]") {
  CHECK(CheckIncludes({"edge/client_hello.cpp", "// such as\n// #include <thread>\n"}).empty());
  CHECK(CheckIncludes({"edge/client_hello.cpp", "/*\n#include <thread>\n*/\n"}).empty());
  CHECK(
      CheckIncludes({"edge/client_hello.cpp", "auto a = R\"(\n#include <thread>\n)\";\n"}).empty());
}

TEST_CASE("a header without its guard is found", "[tidy][rules]") {
  CHECK(LinesFound(CheckIncludes({"common/a/a.h", "int a;\n"})) == Lines{1});
  CHECK(LinesFound(CheckIncludes({"common/a/a.h", "// #pragma once\n"})) == Lines{1});
  CHECK(CheckIncludes({"common/a/a.h", "// Why.\n#pragma once\n"}).empty());
  CHECK(CheckIncludes({"common/a/a.cpp", "int a;\n"}).empty());
}

TEST_CASE("sleeping is found everywhere, in tests too", "[tidy][rules]") {
  const std::string path =
      GENERATE("agent/agent.cpp", "agent/agent_test.cpp", "common/clock/a.cpp");
  const std::string call =
      GENERATE("std::this_thread::sleep_for(delay);", "std::this_thread::sleep_until(then);",
               "absl::SleepFor(delay);", "usleep(5);", "nanosleep(&a, &b);", "sleep(1);",
               "if (a) ::sleep(1);");
  INFO(call);
  CHECK(LinesFound(CheckCalls({path, "int a;\n" + call + "\n"})) == Lines{2});
}

TEST_CASE("a word about sleep is none", "[tidy][rules]") {
  for (const std::string line : {"// sleep(1);", "Log(\"sleep(1)\");", "bool sleep = false;",
                                 "go_to_sleep(1);", "char c = '\"'; // usleep(1)"}) {
    INFO(line);
    CHECK(CheckCalls({"agent/agent.cpp", line + "\n"}).empty());
  }
}

TEST_CASE("threads outside the executor are found", "[tidy][rules]") {
  const std::string line = GENERATE("std::thread thread_;", "std::jthread thread_;",
                                    "auto a = std::async(b);", "pthread_create(a, b, c, d);");
  CHECK(LinesFound(CheckCalls({"agent/agent.h", line + "\n"})) == Lines{1});
  CHECK(CheckCalls({"common/executor/thread_executor.h", line + "\n"}).empty());
  CHECK(CheckCalls({"integration/harness/cluster.cpp", line + "\n"}).empty());
}

TEST_CASE("a test may start threads, and a question about threads starts none", "[tidy][rules]") {
  CHECK(CheckCalls({"agent/agent_test.cpp", "std::thread thread(a);\n"}).empty());
  CHECK(CheckCalls({"agent/agent.cpp", "std::thread::hardware_concurrency();\n"}).empty());
  CHECK(CheckCalls({"agent/agent.cpp", "std::this_thread::get_id();\n"}).empty());
}

TEST_CASE("clocks out of place are found", "[tidy][rules]") {
  const std::string call = GENERATE("std::chrono::system_clock::now();", "absl::Now();",
                                    "time(nullptr);", "std::time(nullptr);", "time(NULL);");
  INFO(call);
  CHECK(LinesFound(CheckCalls({"services/auth/service.cpp", "auto a = " + call + "\n"})) ==
        Lines{1});
  CHECK(LinesFound(CheckCalls({"services/auth/service_test.cpp", call + "\n"})) == Lines{1});
  CHECK(CheckCalls({"common/clock/system_clock.cpp", call + "\n"}).empty());
  CHECK(CheckCalls({"common/log/log.cpp", call + "\n"}).empty());
}

TEST_CASE("a clock that was handed in is none out of place", "[tidy][rules]") {
  for (const std::string line : {"clock_->Now();", "context.time(nullptr_value);", "Now();",
                                 "absl::NowHere();", "uptime(nullptr);"}) {
    INFO(line);
    CHECK(CheckCalls({"services/auth/service.cpp", line + "\n"}).empty());
  }
}

TEST_CASE("a source that nobody builds is found", "[tidy][rules]") {
  const auto found = [](const std::string& source, const std::string& cmake_path,
                        const std::string& cmake) {
    return CheckEverySourceIsBuilt({{source, ""}, {cmake_path, cmake}}).size();
  };
  CHECK(found("common/a/a.cpp", "common/a/CMakeLists.txt", "berth_library(a SOURCES a.cpp)\n") ==
        0);
  CHECK(found("common/a/a.cpp", "common/a/CMakeLists.txt", "berth_library(a)\n") == 1);
  CHECK(found("common/a/a.cpp", "common/a/CMakeLists.txt", "# a.cpp\n") == 1);
  CHECK(found("common/a/a.cpp", "common/a/CMakeLists.txt", "(b_a.cpp a.cppx c/a.cpp)\n") == 1);
  CHECK(found("common/a/a.cpp", "common/b/CMakeLists.txt", "a.cpp\n") == 1);
  CHECK(found("common/a/a.cpp", "common/CMakeLists.txt", "a/a.cpp\n") == 0);
  CHECK(found("common/a/a.cpp", "CMakeLists.txt", "common/a/a.cpp\n") == 0);
  CHECK(found("edge/main.cpp", "edge/CMakeLists.txt", "berth_service(edge SOURCES a.cpp)\n") == 0);
  CHECK(found("edge/main.cpp", "edge/CMakeLists.txt", "berth_library(edge SOURCES a.cpp)\n") == 1);
}

TEST_CASE("a folder without a README is found", "[tidy][rules]") {
  const File header = {"common/a/a.h", ""};
  CHECK(CheckEveryFolderIsExplained({header}) ==
        std::vector<Finding>{{"common/a", 0, "a folder has a README.md"}});
  CHECK(CheckEveryFolderIsExplained({header, {"common/README.md", ""}}).size() == 1);
  CHECK(CheckEveryFolderIsExplained({header, {"common/a/README.md", ""}}).empty());
  CHECK(CheckEveryFolderIsExplained({{"protos/berth/a.proto", ""}}).empty());
}

}  // namespace
}  // namespace berth::tidy
