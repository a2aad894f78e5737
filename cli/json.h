#pragma once

#include <google/protobuf/message.h>

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/string_view.h"

namespace berth::cli {

// Keeps the order in which fields are added, so that documents always look the same.
using Json = nlohmann::ordered_json;

// A message as proto3 JSON has it, with its defaults, except that IPv6 addresses and prefixes are
// texts rather than base64.
Json ToJson(const google::protobuf::Message& message);

// One line: a result of `kind` with the fields of `object`. What is printed under -o json is a
// contract: fields are only ever added.
std::string Document(absl::string_view kind, const Json& object);

// The same of a list.
std::string ListDocument(absl::string_view kind, const Json& items);

}  // namespace berth::cli
