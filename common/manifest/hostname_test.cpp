#include "common/manifest/hostname.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>

namespace berth {
namespace {

TEST_CASE("host names have one form", "[manifest]") {
  CHECK(CanonicalHostname("Notes.Example.COM.").value() == "notes.example.com");
  CHECK(CanonicalHostname("*.example.com").value() == "*.example.com");
  CHECK(CanonicalHostname("localhost").value() == "localhost");
  CHECK(CanonicalHostname("_x.xn--bcher-kva.example").value() == "_x.xn--bcher-kva.example");
  CHECK(CanonicalHostname("3com.example").value() == "3com.example");
}

TEST_CASE("what no TLS client asks for is no host name", "[manifest]") {
  for (const auto& [text, mistake] :
       {std::pair<std::string, std::string>("", "\"\" is not a host name"),
        {".", "\".\" is not a host name"},
        {"a..b", "\"a..b\" is not a host name"},
        {"-a.example", "\"-a.example\" is not a host name"},
        {"a b.example", "\"a b.example\" is not a host name"},
        {"example.com:443", "\"example.com:443\" is not a host name"},
        {"b\xc3\xbc"
         "cher.example",
         "\"b\xc3\xbc"
         "cher.example\" is not ASCII; write the name's "
         "xn-- form"},
        {"192.0.2.1", "\"192.0.2.1\" is an IP address; TLS clients ask for names"},
        {"2001:db8::1", "\"2001:db8::1\" is an IP address; TLS clients ask for names"},
        {"1.2.3", "\"1.2.3\" ends in a number, as no host name does"},
        {"*", "\"*\" is not a wildcard such as *.example.com"},
        {"a.*.example", "\"a.*.example\" is not a wildcard such as *.example.com"},
        {"*a.example", "\"*a.example\" is not a wildcard such as *.example.com"},
        {"*.*.example", "\"*.*.example\" is not a wildcard such as *.example.com"}}) {
    CHECK(CanonicalHostname(text).status().message() == mistake);
  }
}

TEST_CASE("host names and their labels have limits", "[manifest]") {
  const std::string label(63, 'a');
  CHECK(CanonicalHostname(label).ok());
  CHECK_FALSE(CanonicalHostname(label + "a").ok());
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'a');
  CHECK(CanonicalHostname(longest + ".").value() == longest);
  CHECK_FALSE(CanonicalHostname(longest + "a").ok());
}

}  // namespace
}  // namespace berth
