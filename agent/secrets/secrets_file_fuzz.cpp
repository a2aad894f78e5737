// Whatever the value, it is rendered to a file from which the documented four escapes give it back,
// or refused.

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "agent/secrets/secrets_file.h"
#include "common/check/check.h"
#include "common/crypto/hash.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const absl::string_view value(reinterpret_cast<const char*>(bytes), size);
  const auto file = berth::agent::RenderSecretsFile({{"s", value}});
  if (!file.ok()) return 0;
  absl::string_view text = file->view();
  const size_t digest = text.rfind("# sha256:");
  BERTH_CHECK(text.substr(digest + sizeof("# sha256:") - 1, 64) ==
              berth::HexEncode(berth::Sha256(text.substr(0, digest))));
  text = text.substr(0, digest);
  BERTH_CHECK(absl::ConsumePrefix(&text, "# berth-secrets v1\nS=\""));
  BERTH_CHECK(absl::ConsumeSuffix(&text, "\"\n"));
  std::string read;
  for (size_t i = 0; i < text.size(); ++i) {
    BERTH_CHECK(text[i] != '\n' && text[i] != '"' && text[i] != '$');
    if (text[i] != '\\') {
      read += text[i];
      continue;
    }
    BERTH_CHECK(++i < text.size());
    read += text[i] == 'n' ? '\n' : text[i];
  }
  BERTH_CHECK(read == value);
  return 0;
}
