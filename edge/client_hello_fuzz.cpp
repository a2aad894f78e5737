// The fuzz entry of ReadClientHello. client_hello_test.cpp runs it over the corpus and over
// mutations of it; with clang, -DBERTH_SANITIZE=fuzzer-no-link,address makes it a libFuzzer binary.

#include <cstddef>
#include <cstdint>

#include "common/check/check.h"
#include "edge/client_hello.h"

// Asking with every beginning of the input: once there is a verdict, more bytes do not change it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using berth::edge::HelloVerdict;
  using berth::edge::NeedMoreBytes;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  // Long inputs are asked about in larger steps: what matters are the borders near the beginning.
  const size_t step = size / 256 + 1;
  const HelloVerdict whole = berth::edge::ReadClientHello(bytes);
  for (size_t arrived = 0; arrived < size; arrived += step) {
    const HelloVerdict verdict = berth::edge::ReadClientHello(bytes.substr(0, arrived));
    BERTH_CHECK(std::holds_alternative<NeedMoreBytes>(verdict) || verdict == whole);
  }
  return 0;
}
