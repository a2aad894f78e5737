// Whatever the text, it is read to a manifest that its bytes give back, or to an error that names
// a mistake.

#include <cstddef>
#include <cstdint>

#include "common/check/check.h"
#include "common/manifest/manifest.h"
#include "common/status/error_details.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto manifest = berth::ParseManifest(text, "berth.yaml");
  if (manifest.ok()) {
    berth::config::v1::Manifest parsed;
    BERTH_CHECK(parsed.ParseFromString(berth::Normalise(*manifest)));
    BERTH_CHECK(berth::Normalise(parsed) == berth::Normalise(*manifest));
  } else {
    BERTH_CHECK(berth::ReasonOf(manifest.status()) == berth::reason::kManifestInvalid);
    BERTH_CHECK(!berth::FieldViolationsOf(manifest.status()).empty());
  }
  return 0;
}
