#include "common/service_process/service_settings.h"

#include "common/net/socket_address.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

// Whether clients cannot connect to such a host: it stands for all of a machine's addresses.
bool IsEveryAddress(const std::string& host) {
  return host.empty() || host == "0.0.0.0" || host == "::";
}

}  // namespace

void ReadServingSettings(SettingsReader* reader, ServingSettings* settings) {
  reader->Optional("listen", &settings->listen);
  if (const auto listen = ParseHostPort(settings->listen); !listen.ok()) {
    reader->Refuse("listen", std::string(listen.status().message()));
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
  settings.address = settings.serving.listen;
  reader.Optional("address", &settings.address);
  const absl::StatusOr<HostPort> address = ParseHostPort(settings.address);
  if (!address.ok() || IsEveryAddress(address->host) || address->port == 0) {
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
