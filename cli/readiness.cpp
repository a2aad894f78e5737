#include "cli/readiness.h"

#include <httplib.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/local_platform.h"
#include "common/files/atomic_file.h"
#include "common/status/status_macros.h"

namespace berth::cli {
namespace {

constexpr size_t kAddressBytesMax = 256;
constexpr size_t kPageBytesMax = 4096;
constexpr absl::Duration kSilenceMax = absl::Seconds(3);

}  // namespace

absl::Status ReadinessOf(const std::string& state) {
  BERTH_ASSIGN_OR_RETURN(std::string address,
                         ReadFile(LocalPlatform::HttpAddress(state), kAddressBytesMax));
  absl::StripAsciiWhitespace(&address);
  httplib::Client client(absl::StrCat("http://", address));
  client.set_connection_timeout(absl::ToChronoSeconds(kSilenceMax));
  client.set_read_timeout(absl::ToChronoSeconds(kSilenceMax));
  std::string page;
  const httplib::Result answer = client.Get("/readyz", [&page](const char* data, size_t size) {
    page.append(data, size);
    return page.size() <= kPageBytesMax;
  });
  if (!answer) {
    return absl::UnavailableError(
        absl::StrCat("http://", address, "/readyz: ", httplib::to_string(answer.error())));
  }
  absl::StripAsciiWhitespace(&page);
  return answer->status == 200 ? absl::OkStatus() : absl::FailedPreconditionError(page);
}

}  // namespace berth::cli
