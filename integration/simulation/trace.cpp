#include "integration/simulation/trace.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace berth::simulation {
namespace {

constexpr uint64_t kPrime = 0x100000001b3;

}  // namespace

void Trace::Say(absl::Duration at, absl::string_view who, absl::string_view what) {
  std::string line = absl::StrFormat("%11.6f %s: %s", absl::ToDoubleSeconds(at), who, what);
  Mix(line);
  if (shown_) std::fprintf(stderr, "%s\n", line.c_str());
  lines_.push_back(std::move(line));
  if (lines_.size() > kLinesMax) lines_.pop_front();
}

void Trace::Mix(absl::string_view bytes) {
  for (const char byte : bytes) hash_ = (hash_ ^ static_cast<unsigned char>(byte)) * kPrime;
  Mix(bytes.size());
}

void Trace::Mix(uint64_t number) {
  for (int shift = 0; shift < 64; shift += 8) {
    hash_ = (hash_ ^ ((number >> shift) & 0xff)) * kPrime;
  }
}

}  // namespace berth::simulation
