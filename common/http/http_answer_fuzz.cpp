// The fuzz entry of HttpAnswer. http_answer_test.cpp runs it over the corpus; with clang,
// -DBERTH_SANITIZE=fuzzer-no-link,address makes it a libFuzzer binary.

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/check/check.h"
#include "common/http/http_answer.h"

// However the bytes are cut, the answer is the same.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  berth::HttpAnswer at_once;
  std::string whole;
  const absl::Status status = at_once.Take(bytes, &whole);
  berth::HttpAnswer in_pieces;
  std::string pieces;
  absl::Status last;
  for (size_t i = 0; i < size && last.ok(); ++i) last = in_pieces.Take(bytes.substr(i, 1), &pieces);
  BERTH_CHECK(last == status && pieces == whole);
  BERTH_CHECK(in_pieces.status() == at_once.status());
  BERTH_CHECK(in_pieces.IsWholeAtEnd() == at_once.IsWholeAtEnd());
  return 0;
}
