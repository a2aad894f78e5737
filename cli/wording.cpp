#include "cli/wording.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/errors.h"
#include "common/manifest/route.h"
#include "common/net/ipv6_text.h"
#include "common/time/timestamp.h"

namespace berth::cli {
namespace {

constexpr size_t kDigestDigitsShown = 12;

using scheduler::v1::Instance;

absl::string_view PhaseText(scheduler::v1::Phase phase) {
  switch (phase) {
    case scheduler::v1::PHASE_PULLING:
      return "pulling";
    case scheduler::v1::PHASE_STARTING:
      return "starting";
    case scheduler::v1::PHASE_READY:
      return "ready";
    case scheduler::v1::PHASE_UNREADY:
      return "unready";
    case scheduler::v1::PHASE_FAILED:
      return "failed";
    case scheduler::v1::PHASE_STOPPED:
      return "stopped";
    default:
      return "placed";
  }
}

std::map<std::string, uint32_t> Sorted(const google::protobuf::Map<std::string, uint32_t>& map) {
  return {map.begin(), map.end()};
}

}  // namespace

std::vector<std::string> Endpoints(const Instance& instance) {
  std::vector<std::string> endpoints;
  const std::string address = Ipv6Text(instance.address());
  for (const auto& [name, port] : Sorted(instance.ports())) {
    endpoints.push_back(absl::StrCat("[", address, "]:", port));
  }
  return endpoints;
}

std::string StateText(const Instance& instance) {
  const scheduler::v1::Phase phase = instance.observed().phase();
  const bool ended = phase == scheduler::v1::PHASE_FAILED || phase == scheduler::v1::PHASE_STOPPED;
  if (!ended && instance.intent() == scheduler::v1::INTENT_STOP) return "stopping";
  if (!ended && instance.draining()) return "draining";
  return std::string(PhaseText(phase));
}

std::string PresenceText(scheduler::v1::HostPresence presence) {
  switch (presence) {
    case scheduler::v1::HOST_PRESENCE_UP:
      return "up";
    case scheduler::v1::HOST_PRESENCE_STALE:
      return "stale";
    case scheduler::v1::HOST_PRESENCE_LOST:
      return "lost";
    default:
      return "joining";
  }
}

std::string EdgesText(const google::protobuf::RepeatedPtrField<std::string>& names) {
  return absl::StrCat(names.size() == 1 ? "edge " : "edges ", absl::StrJoin(names, ", "));
}

std::string RoleText(auth::v1::Role role) {
  switch (role) {
    case auth::v1::ROLE_VIEWER:
      return "viewer";
    case auth::v1::ROLE_DEVELOPER:
      return "developer";
    case auth::v1::ROLE_ADMIN:
      return "admin";
    default:
      return "all";
  }
}

absl::StatusOr<auth::v1::Role> ParseRole(absl::string_view text) {
  for (const auth::v1::Role role :
       {auth::v1::ROLE_VIEWER, auth::v1::ROLE_DEVELOPER, auth::v1::ROLE_ADMIN}) {
    if (text == RoleText(role)) return role;
  }
  return UsageError(
      absl::StrCat("\"", text, "\" is no role; there are viewer, developer and admin"));
}

std::string ElapsedText(absl::Duration elapsed) {
  if (elapsed < absl::Minutes(1)) return absl::StrFormat("%.1f s", absl::ToDoubleSeconds(elapsed));
  const int64_t seconds = absl::ToInt64Seconds(elapsed);
  return absl::StrFormat("%dm%02ds", seconds / 60, seconds % 60);
}

std::string AgeText(absl::Duration age) {
  if (age < absl::Minutes(2)) return absl::StrCat(absl::ToInt64Seconds(age), "s");
  if (age < absl::Hours(2)) return absl::StrCat(absl::ToInt64Minutes(age), "m");
  if (age < absl::Hours(48)) return absl::StrCat(absl::ToInt64Hours(age), "h");
  return absl::StrCat(absl::ToInt64Hours(age) / 24, "d");
}

std::string AgeText(const google::protobuf::Timestamp& time, absl::Time now) {
  if (time.seconds() == 0) return "";
  // The machines' clocks may differ a little.
  return AgeText(std::max(now - FromTimestamp(time), absl::ZeroDuration()));
}

std::string BytesText(uint64_t bytes) {
  constexpr double kMebibyte = 1 << 20;
  constexpr double kGibibyte = 1 << 30;
  const double size = static_cast<double>(bytes);
  if (size < kGibibyte) return absl::StrFormat("%.0f MiB", size / kMebibyte);
  return absl::StrFormat("%.1f GiB", size / kGibibyte);
}

std::string CountsText(const google::protobuf::Map<std::string, uint32_t>& counts) {
  return absl::StrJoin(Sorted(counts), " ", absl::PairFormatter("="));
}

std::string ShortImage(absl::string_view image) {
  const size_t digest = image.find("@sha256:");
  if (digest == absl::string_view::npos) return std::string(image);
  return std::string(image.substr(0, digest + sizeof("@sha256:") - 1 + kDigestDigitsShown));
}

std::string ListenText(const config::v1::Route& route) {
  return absl::StrCat(ListenerText(route), route.has_tls() ? " " : "", route.tls().hostname());
}

std::string Printable(absl::string_view text) {
  std::string printable;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool control = (byte < 0x20 && c != '\t') || byte == 0x7f;
    printable.push_back(control ? '?' : c);
  }
  return printable;
}

}  // namespace berth::cli
