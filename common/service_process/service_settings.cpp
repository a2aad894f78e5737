#include "common/service_process/service_settings.h"

#include <algorithm>

#include "absl/strings/str_join.h"
#include "common/net/socket_address.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

// Whether clients cannot connect to such a host: it stands for all of a machine's addresses.
bool IsEveryAddress(const std::string& host) {
  return host.empty() || host == "0.0.0.0" || host == "::";
}

// Whether clients can connect to it.
bool IsReachable(const std::string& address) {
  const absl::StatusOr<HostPort> parsed = ParseHostPort(address);
  return parsed.ok() && !IsEveryAddress(parsed->host) && parsed->port != 0;
}

}  // namespace

std::string ServingSettings::AnnouncedAddress() const {
  return replicas.empty() ? address : absl::StrJoin(replicas, ",");
}

void ReadServingSettings(SettingsReader* reader, ServingSettings* settings) {
  reader->Optional("listen", &settings->listen);
  if (const auto listen = ParseHostPort(settings->listen); !listen.ok()) {
    reader->Refuse("listen", std::string(listen.status().message()));
  }
  if (IsReachable(settings->listen)) settings->address = settings->listen;
  reader->Optional("address", &settings->address);
  if (!settings->address.empty() && !IsReachable(settings->address)) {
    reader->Refuse("address", "says where the others reach this service, as HOST:PORT");
  }
  reader->Optional("replicas", &settings->replicas);
  for (const std::string& replica : settings->replicas) {
    if (IsReachable(replica)) continue;
    reader->Refuse("replicas", replica + " is not where a copy could be reached, as HOST:PORT");
  }
  if (!settings->replicas.empty() && std::find(settings->replicas.begin(), settings->replicas.end(),
                                               settings->address) == settings->replicas.end()) {
    reader->Refuse("replicas", "names all copies, so the address of this one, too");
  }
  reader->Optional("addresses", &settings->addresses);
  reader->Optional("http", &settings->http);
  ReadLogSettings(reader, &settings->log);
}

absl::StatusOr<ServiceSettings> LoadServiceSettings(const std::string& path,
                                                    const std::string& http,
                                                    const ReadOwnSettings& read_own) {
  BERTH_ASSIGN_OR_RETURN(const std::string text, ReadSettingsFile(path));
  ServiceSettings settings;
  settings.serving.http = http;
  SettingsReader reader(text, path);
  ReadMemberSettings(&reader, &settings.member);
  ReadServingSettings(&reader, &settings.serving);
  if (settings.serving.address.empty()) {
    reader.Refuse("address", "says where the others reach this service, as HOST:PORT");
  }
  if (read_own != nullptr) read_own(&reader);
  BERTH_RETURN_IF_ERROR(reader.Finish());
  return settings;
}

absl::StatusOr<std::string> OwnAddress(const ServingSettings& settings, int port) {
  BERTH_ASSIGN_OR_RETURN(HostPort address, ParseHostPort(settings.listen));
  if (address.host == "::") address.host = "::1";
  if (IsEveryAddress(address.host)) address.host = "127.0.0.1";
  address.port = static_cast<uint16_t>(port);
  return FormatHostPort(address);
}

absl::StatusOr<std::vector<std::string>> CertificateAddresses(const ServingSettings& settings) {
  BERTH_ASSIGN_OR_RETURN(const HostPort listen, ParseHostPort(settings.listen));
  std::vector<std::string> addresses = settings.addresses;
  addresses.push_back(IsEveryAddress(listen.host) ? "localhost" : listen.host);
  return addresses;
}

}  // namespace berth
