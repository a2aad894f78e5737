// Whatever the file, what is read from it are proper names, and no value is larger than the file.

#include <cstddef>
#include <cstdint>

#include "cli/dotenv.h"
#include "common/check/check.h"
#include "common/ids/names.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const auto secrets = berth::cli::ParseDotenv(
      berth::SecretBytes::CopyOf({reinterpret_cast<const char*>(bytes), size}));
  if (!secrets.ok()) return 0;
  for (const berth::cli::NamedValue& secret : *secrets) {
    BERTH_CHECK(berth::CheckName("a secret", secret.name).ok());
    BERTH_CHECK(secret.value.size() < size);
  }
  return 0;
}
