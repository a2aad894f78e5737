#include "common/backup/backup_format.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/check/check.h"
#include "common/crypto/hash.h"

namespace berth {

std::string RecordsEntry(absl::string_view stream, uint64_t number) {
  return absl::StrFormat("%s%s/records/%08d", kLogsPrefix, stream, number);
}

std::string RowsEntry(absl::string_view stream) {
  return absl::StrCat(kLogsPrefix, stream, "/rows");
}

eventlog::v1::BackupEntry DescribeEntry(const std::string& name, absl::string_view bytes) {
  eventlog::v1::BackupEntry entry;
  entry.set_name(name);
  entry.set_size_bytes(bytes.size());
  entry.set_digest(HexEncode(Blake2b256({bytes})));
  return entry;
}

std::string ToJson(const eventlog::v1::BackupManifest& manifest) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string json;
  BERTH_CHECK(google::protobuf::util::MessageToJsonString(manifest, &json, options).ok());
  return json;
}

absl::StatusOr<eventlog::v1::BackupManifest> ParseManifest(const std::string& json) {
  google::protobuf::util::JsonParseOptions options;
  // A later version of this format adds fields that say nothing of what is known here.
  options.ignore_unknown_fields = true;
  eventlog::v1::BackupManifest manifest;
  if (!google::protobuf::util::JsonStringToMessage(json, &manifest, options).ok()) {
    return absl::DataLossError("its manifest cannot be read");
  }
  return manifest;
}

}  // namespace berth
