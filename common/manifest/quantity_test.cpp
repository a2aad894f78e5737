#include "common/manifest/quantity.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>

namespace berth {
namespace {

TEST_CASE("sizes are binary or decimal, never either", "[manifest]") {
  for (const auto& [text, bytes] : {std::pair<std::string, uint64_t>("0", 0),
                                    {"4096", 4096},
                                    {"10B", 10},
                                    {"64KiB", 65536},
                                    {"256MiB", 268435456},
                                    {"2GiB", 2147483648},
                                    {"1TiB", 1099511627776},
                                    {"64kB", 64000},
                                    {"256MB", 256000000},
                                    {"2GB", 2000000000},
                                    {"1TB", 1000000000000}}) {
    INFO(text);
    CHECK(ParseSize(text).value() == bytes);
  }
}

TEST_CASE("a wrong size says what to write", "[manifest]") {
  for (const auto& [text, mistake] :
       {std::pair<std::string, std::string>("256M", "\"256M\" has no known unit; write 256MiB"),
        {"256Mi", "\"256Mi\" has no known unit; write 256MiB"},
        {"1g", "\"1g\" has no known unit; write 1GiB"},
        {"1b", "\"1b\" has no known unit; use KiB, MiB, GiB or kB, MB, GB"},
        {"256mib", "\"256mib\" has no known unit; use KiB, MiB, GiB or kB, MB, GB"},
        {"1.5GiB", "\"1.5GiB\" is not a whole number; use a smaller unit"},
        {"big", "\"big\" is not a size; write one such as 256MiB"},
        {"-1MiB", "\"-1MiB\" is not a size; write one such as 256MiB"},
        {"18446744073709551616",
         "\"18446744073709551616\" is not a size; write one such as 256MiB"},
        {"16777216TiB", "\"16777216TiB\" is more than any machine has"}}) {
    CHECK(ParseSize(text).status().message() == mistake);
  }
}

TEST_CASE("CPU is counted in thousandths", "[manifest]") {
  for (const auto& [text, milli] : {std::pair<std::string, uint32_t>("500m", 500),
                                    {"0.5", 500},
                                    {"2", 2000},
                                    {"1.25", 1250},
                                    {"0.001", 1},
                                    {"0", 0}}) {
    INFO(text);
    CHECK(ParseCpu(text).value() == milli);
  }
  for (const std::string text : {"", "m", ".5", "1.", "1e3", "-1", "0.5m", "1,5", "1234567"}) {
    CHECK(ParseCpu(text).status().message() ==
          "\"" + text + "\" is not an amount of CPU; write one such as 500m or 0.5");
  }
  CHECK(ParseCpu("0.0005").status().message() == "\"0.0005\" is finer than a thousandth of a CPU");
}

}  // namespace
}  // namespace berth
