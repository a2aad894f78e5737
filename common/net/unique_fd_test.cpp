#include "common/net/unique_fd.h"

#include <fcntl.h>

#include <catch2/catch.hpp>

namespace berth {
namespace {

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) != -1; }

UniqueFd OpenNull() { return UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

TEST_CASE("a descriptor is closed with its owner", "[net][unique-fd]") {
  int raw = -1;
  {
    const UniqueFd fd = OpenNull();
    REQUIRE(fd.valid());
    raw = fd.get();
    CHECK(IsOpen(raw));
  }
  CHECK_FALSE(IsOpen(raw));
}

TEST_CASE("a moved-from owner closes nothing", "[net][unique-fd]") {
  UniqueFd first = OpenNull();
  const int raw = first.get();
  {
    UniqueFd second = std::move(first);
    CHECK(second.get() == raw);
    first = std::move(second);
  }
  CHECK(first.get() == raw);
  CHECK(IsOpen(raw));
}

TEST_CASE("an assigned owner closes what it had", "[net][unique-fd]") {
  UniqueFd fd = OpenNull();
  const int raw = fd.get();
  UniqueFd other = OpenNull();
  fd = std::move(other);
  CHECK_FALSE(IsOpen(raw));
  CHECK(IsOpen(fd.get()));
}

TEST_CASE("a released descriptor stays open", "[net][unique-fd]") {
  int raw = -1;
  {
    UniqueFd fd = OpenNull();
    raw = fd.Release();
    CHECK_FALSE(fd.valid());
  }
  CHECK(IsOpen(raw));
  close(raw);
}

}  // namespace
}  // namespace berth
