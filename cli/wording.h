#pragma once

#include <google/protobuf/repeated_ptr_field.h>
#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "berth/auth/v1/auth.pb.h"
#include "berth/config/v1/manifest.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"

namespace berth::cli {

// How the command line says what the protos hold.

// Where each port of an instance is reached, as [ADDRESS]:PORT, ordered by the ports' names.
std::vector<std::string> Endpoints(const scheduler::v1::Instance& instance);

// Where an instance stands, in one word.
std::string StateText(const scheduler::v1::Instance& instance);
std::string PresenceText(scheduler::v1::HostPresence presence);
// edge gate, or edges gate, near.
std::string EdgesText(const google::protobuf::RepeatedPtrField<std::string>& names);

// A role in a word; "all" where a token has none of its own.
std::string RoleText(auth::v1::Role role);
// A usage error: there is no such role.
absl::StatusOr<auth::v1::Role> ParseRole(absl::string_view text);

// 4.2 s, or 2m05s beyond a minute.
std::string ElapsedText(absl::Duration elapsed);
// The largest unit that fits: 42s, 7m, 3h, 12d.
std::string AgeText(absl::Duration age);
// Since `time`; empty where there is none.
std::string AgeText(const google::protobuf::Timestamp& time, absl::Time now);
// 128 MiB, 1.5 GiB.
std::string BytesText(uint64_t bytes);
// name=count, ordered by name.
std::string CountsText(const google::protobuf::Map<std::string, uint32_t>& counts);
// NAME@sha256: and the first 12 digits.
std::string ShortImage(absl::string_view image);

// What a route listens for: tls/443 hello.example.com, or tcp/7000.
std::string ListenText(const config::v1::Route& route);

// What came from elsewhere, without control characters that a terminal would act on. Tabs stay.
std::string Printable(absl::string_view text);

}  // namespace berth::cli
