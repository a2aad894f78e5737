#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "berth/eventlog/v1/backup.pb.h"

namespace berth {

// How a backup is laid out in its archive, in this order:
//
//   format                      what it is, as a line for people: read before all else
//   logs/STREAM/records/NUMBER  BackupRecords: some megabytes of records, one after another
//   logs/STREAM/rows            BackupRows
//   files/PATH                  a file of the server's folder
//   manifest.json               BackupManifest, with the digest of each entry above

inline constexpr uint32_t kBackupFormat = 1;
inline constexpr char kFormatEntry[] = "format";
inline constexpr char kFormatText[] = "berth backup 1\n";
inline constexpr char kManifestEntry[] = "manifest.json";
inline constexpr char kLogsPrefix[] = "logs/";
inline constexpr char kFilesPrefix[] = "files/";

std::string RecordsEntry(absl::string_view stream, uint64_t number);
std::string RowsEntry(absl::string_view stream);

// The digest and size of an entry with these bytes.
eventlog::v1::BackupEntry DescribeEntry(const std::string& name, absl::string_view bytes);

std::string ToJson(const eventlog::v1::BackupManifest& manifest);
// kDataLoss: it cannot be read.
absl::StatusOr<eventlog::v1::BackupManifest> ParseManifest(const std::string& json);

}  // namespace berth
