#include "common/ids/random_id_source.h"

#include <sys/random.h>

#include <array>

#include "common/check/check.h"

namespace berth {
namespace {

// RFC 4648 section 6, in lower case: no digit that a person mistakes for a letter.
constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

}  // namespace

std::string RandomIdSource::NewId() {
  std::array<unsigned char, 10> bytes;
  BERTH_CHECK(getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  std::string id;
  for (unsigned char byte : bytes) id += kAlphabet[byte & 31];
  return id;
}

std::string RandomIdSource::NewNonce() {
  std::string nonce(16, '\0');
  BERTH_CHECK(getrandom(nonce.data(), nonce.size(), 0) == static_cast<ssize_t>(nonce.size()));
  return nonce;
}

}  // namespace berth
