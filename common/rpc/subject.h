#pragma once

#include <google/protobuf/message.h>

#include <set>
#include <string>

namespace berth::rpc {

// What a message is about, as people look for it.
struct Subject {
  std::string org;  // Empty where it names none.
  // APP/ENV, host/NAME, edge/NAME, user/NAME, secret/NAME, route/NAME, token/NAME, instance/NAME.
  std::set<std::string> resources;
};

// What a request or an event names, by the names and types of its fields. Of names that no part of
// Berth would take, nothing: a request is about what anybody wrote into it.
Subject SubjectOf(const google::protobuf::Message& message);

}  // namespace berth::rpc
