#include "cli/json.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/check/check.h"
#include "common/net/ipv6_text.h"

namespace berth::cli {
namespace {

constexpr char kSchema[] = "berth.cli/v1";

// The fields of type bytes that people write otherwise.
void WriteAddresses(Json* value) {
  if (value->is_array()) {
    for (Json& item : *value) WriteAddresses(&item);
  }
  if (!value->is_object()) return;
  for (auto& [name, field] : value->items()) {
    std::string bytes;
    if ((name == "address" || name == "prefix") && field.is_string() &&
        absl::Base64Unescape(field.get_ref<const std::string&>(), &bytes)) {
      field = name == "address" ? Ipv6Text(bytes) : Ipv6NetworkText(bytes);
    } else {
      WriteAddresses(&field);
    }
  }
}

// What came from a machine need not be UTF-8; it is shown as well as it can be.
std::string Line(const Json& document) {
  return absl::StrCat(document.dump(-1, ' ', false, Json::error_handler_t::replace), "\n");
}

}  // namespace

Json ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  std::string text;
  BERTH_CHECK(google::protobuf::util::MessageToJsonString(message, &text, options).ok());
  Json json = Json::parse(text);
  WriteAddresses(&json);
  return json;
}

std::string Document(absl::string_view kind, const Json& object) {
  Json document = {{"schema", kSchema}, {"kind", std::string(kind)}};
  document.update(object);
  return Line(document);
}

std::string ListDocument(absl::string_view kind, const Json& items) {
  return Line(
      {{"schema", kSchema}, {"kind", std::string(kind)}, {"items", items}, {"nextPageToken", ""}});
}

}  // namespace berth::cli
