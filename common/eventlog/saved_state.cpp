#include "common/eventlog/saved_state.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/crypto/hash.h"

namespace berth {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// Adds the message and every message that its fields lead to, by name.
void Describe(const Descriptor& message, std::map<std::string, std::string>* described) {
  const auto [entry, is_new] = described->emplace(message.full_name(), "");
  if (!is_new) return;
  std::string fields;
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    absl::StrAppend(&fields, " ", field.number(), ":", static_cast<int>(field.type()),
                    field.is_repeated() ? "*" : "");
    if (field.message_type() == nullptr) continue;
    absl::StrAppend(&fields, "=", field.message_type()->full_name());
    Describe(*field.message_type(), described);
  }
  entry->second = std::move(fields);
}

}  // namespace

std::string ToDeterministicBytes(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    BERTH_CHECK(message.SerializeToCodedStream(&coded));
  }
  return bytes;
}

std::string SavedStateFormat(const Descriptor& message, uint32_t state_version) {
  std::map<std::string, std::string> described;
  Describe(message, &described);
  std::string text = absl::StrCat(message.full_name(), " ", state_version, "\n");
  for (const auto& [name, fields] : described) absl::StrAppend(&text, name, fields, "\n");
  return Blake2b256({text});
}

}  // namespace berth
