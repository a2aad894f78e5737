#include "common/manifest/image_reference.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace berth {
namespace {

TEST_CASE("what registries take is an image reference", "[manifest]") {
  const std::string digest = "@sha256:" + std::string(64, 'a');
  const std::vector<std::string> references = {"hello",
                                               "localhost/hello",
                                               "localhost:5000/hello:1",
                                               "registry.example.com/acme/notes:1.8.2",
                                               "notes" + digest,
                                               "registry.example.com:443/acme/notes:v1" + digest,
                                               "a/b__c/d-e:T_1"};
  for (const std::string& text : references) {
    INFO(text);
    CHECK(IsImageReference(text));
  }
}

TEST_CASE("what no registry takes is not", "[manifest]") {
  for (const std::string text :
       {"", "/a", "a/", "a//b", "a b", "Hello", "host/Hello", "a:", "a:b c", "a:-b", "a@", "-a",
        "a@sha256:12", "a@md5:00000000000000000000000000000000", "host:port/a", "host:/a",
        "https://example.com/a", "a:b:c"}) {
    INFO(text);
    CHECK_FALSE(IsImageReference(text));
  }
  CHECK_FALSE(IsImageReference(std::string(256, 'a')));
  CHECK_FALSE(IsImageReference("a:" + std::string(129, 'a')));
}

}  // namespace
}  // namespace berth
