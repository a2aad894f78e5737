#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/member/member_settings.h"
#include "common/service_process/open_log.h"

namespace berth {

// What the settings of every process with services say.
struct ServingSettings {
  std::string listen = "127.0.0.1:7443";
  // Further host names and IP addresses that clients reach it by, for its certificate.
  std::vector<std::string> addresses;
  LogSettings log;
  // Where its metrics and health are served, or `off`.
  std::string http;
  // HOST:PORT that other machines reach this process by; empty where `listen` does not say it.
  std::string address;
  // Where all copies of this process are, itself included; empty: it is the only one.
  std::vector<std::string> replicas;

  // What clients are told: all the copies, with commas between them, or this one.
  std::string AnnouncedAddress() const;
};

// What the settings of a service in a process of its own say.
struct ServiceSettings {
  ServingSettings serving;
  MemberSettings member;
};

// Settings of one service beside what all have: takes them out of the reader.
using ReadOwnSettings = std::function<void(SettingsReader*)>;

// Takes listen, address, addresses, replicas, http and the section log out of the reader.
void ReadServingSettings(SettingsReader* reader, ServingSettings* settings);

// `http` is where it serves its metrics unless the settings say otherwise; `read_own` may be empty.
// kInvalidArgument: the message names each mistake with its place.
absl::StatusOr<ServiceSettings> LoadServiceSettings(const std::string& path,
                                                    const std::string& http,
                                                    const ReadOwnSettings& read_own);

// Where a process that listens so reaches itself. `port` is the one that it got.
absl::StatusOr<std::string> OwnAddress(const ServingSettings& settings, int port);

// What the certificate of a process names beside its services.
absl::StatusOr<std::vector<std::string>> CertificateAddresses(const ServingSettings& settings);

}  // namespace berth
