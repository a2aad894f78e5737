#pragma once

#include <google/protobuf/message.h>

#include <cstdint>
#include <string>

namespace berth {

// The message's bytes, the same for the same content: protobuf by itself does not promise an order
// for maps. States that are equal can so be known by their bytes, or by a hash of them.
std::string ToDeterministicBytes(const google::protobuf::Message& message);

// What says how saved states of this message are to be read: another value wherever a field of it,
// or of a message in it, was added or changed, and wherever `state_version` differs. 32 bytes.
std::string SavedStateFormat(const google::protobuf::Descriptor& message, uint32_t state_version);

}  // namespace berth
