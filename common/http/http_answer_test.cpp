#include "common/http/http_answer.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/testing/printers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace berth {
namespace {

constexpr char kCorpus[] = "common/http/testdata";

struct Taken {
  HttpAnswer answer;
  std::string body;
};

Taken MustTake(absl::string_view bytes) {
  Taken taken;
  REQUIRE(taken.answer.Take(bytes, &taken.body).ok());
  return taken;
}

TEST_CASE("a body of a stated size ends with it", "[http][answer]") {
  const Taken taken = MustTake("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodymore");
  CHECK(taken.answer.status() == 200);
  CHECK(taken.answer.IsWhole());
  CHECK(taken.body == "body");
}

TEST_CASE("a body comes in chunks", "[http][answer]") {
  const Taken taken = MustTake(
      "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n"
      "4;name=value\r\nbody\r\nA\r\n and more.\r\n0\r\nTrailer: x\r\n\r\n");
  CHECK(taken.answer.IsWhole());
  CHECK(taken.body == "body and more.");
}

TEST_CASE("a body without a size ends with the connection, a chunked one does not",
          "[http][answer]") {
  const Taken without = MustTake("HTTP/1.1 200 OK\r\n\r\nbody");
  CHECK_FALSE(without.answer.IsWhole());
  CHECK(without.answer.IsWholeAtEnd());
  CHECK(without.body == "body");

  const Taken chunked =
      MustTake("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n");
  CHECK_FALSE(chunked.answer.IsWholeAtEnd());
}

TEST_CASE("what has no content is whole with its head", "[http][answer]") {
  CHECK(MustTake("HTTP/1.1 204 No Content\r\n\r\n").answer.IsWhole());
  CHECK(MustTake("HTTP/1.1 304 Not Modified\r\n\r\n").answer.IsWhole());
  CHECK(MustTake("HTTP/1.1 500 Error\r\nContent-Length: 0\r\n\r\n").answer.IsWhole());
}

TEST_CASE("an older server's answer is taken", "[http][answer]") {
  const Taken taken = MustTake("HTTP/1.0 200 OK\nServer: shell\n\nbody");
  CHECK(taken.answer.status() == 200);
  CHECK(taken.answer.IsWholeAtEnd());
  CHECK(taken.body == "body");
}

TEST_CASE("what is no answer is refused", "[http][answer]") {
  const std::string long_line(kHttpLineBytesMax + 1, 'x');
  std::string many_lines = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i <= kHttpLinesMax; ++i) many_lines += "a: b\r\n";
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::vector<std::string> wrong = {"SSH-2.0-OpenSSH\r\n",
                                          "HTTP/1.1 OK\r\n",
                                          "HTTP/2 200\r\n",
                                          long_line,
                                          many_lines,
                                          "HTTP/1.1 200 OK\r\nno colon\r\n",
                                          "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
                                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
                                          chunked + "\r\n",
                                          chunked + "4 5\r\n",
                                          chunked + "fffffffffffffffff\r\n",
                                          chunked + "1\r\nlonger\r\n"};
  for (const std::string& bytes : wrong) {
    CAPTURE(bytes);
    HttpAnswer answer;
    std::string body;
    CHECK(answer.Take(bytes, &body).code() == absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("an answer is the same however its bytes come", "[http][answer]") {
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kCorpus)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)),
                            std::istreambuf_iterator<char>());
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    ++files;
  }
  CHECK(files > 0);
}

}  // namespace
}  // namespace berth
