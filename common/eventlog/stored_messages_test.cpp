// What is stored decodes for ever: of each event, each state and of a record there are bytes as
// they are stored, and beside them what they say.

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>

#include <catch2/catch.hpp>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "berth/auth/v1/events.pb.h"
#include "berth/auth/v1/snapshot.pb.h"
#include "berth/config/v1/events.pb.h"
#include "berth/config/v1/snapshot.pb.h"
#include "berth/edge_router/v1/events.pb.h"
#include "berth/edge_router/v1/snapshot.pb.h"
#include "berth/eventlog/v1/record.pb.h"
#include "berth/eventlog/v1/snapshot.pb.h"
#include "berth/scheduler/v1/events.pb.h"
#include "berth/scheduler/v1/snapshot.pb.h"
#include "berth/secrets/v1/events.pb.h"
#include "berth/secrets/v1/snapshot.pb.h"
#include "common/crypto/hash.h"
#include "common/testing/stored_sections.h"

namespace berth {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::TextFormat;

// How deep an example is filled; what holds itself is not there below.
constexpr int kDepthMax = 8;
constexpr size_t kHexOnLine = 100;

void Fill(Message* message, int depth);

void FillField(Message* message, const FieldDescriptor* field, int depth) {
  const Reflection* const reflection = message->GetReflection();
  const bool repeated = field->is_repeated();
  const auto put = [&](auto set, auto add, auto value) {
    (reflection->*(repeated ? add : set))(message, field, value);
  };
  const int number = field->number();
  const auto positive = static_cast<unsigned>(number);
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (depth == kDepthMax) return;
      return Fill(repeated ? reflection->AddMessage(message, field)
                           : reflection->MutableMessage(message, field),
                  depth + 1);
    case FieldDescriptor::CPPTYPE_ENUM: {
      const google::protobuf::EnumDescriptor* const type = field->enum_type();
      return put(&Reflection::SetEnumValue, &Reflection::AddEnumValue,
                 type->value(type->value_count() - 1)->number());
    }
    case FieldDescriptor::CPPTYPE_STRING:
      return put(&Reflection::SetString, &Reflection::AddString, field->name());
    case FieldDescriptor::CPPTYPE_BOOL:
      return put(&Reflection::SetBool, &Reflection::AddBool, true);
    case FieldDescriptor::CPPTYPE_INT32:
      return put(&Reflection::SetInt32, &Reflection::AddInt32, number);
    case FieldDescriptor::CPPTYPE_INT64:
      return put(&Reflection::SetInt64, &Reflection::AddInt64, number);
    case FieldDescriptor::CPPTYPE_UINT32:
      return put(&Reflection::SetUInt32, &Reflection::AddUInt32, positive);
    case FieldDescriptor::CPPTYPE_UINT64:
      return put(&Reflection::SetUInt64, &Reflection::AddUInt64, positive);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return put(&Reflection::SetDouble, &Reflection::AddDouble, 0.5);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return put(&Reflection::SetFloat, &Reflection::AddFloat, 0.5F);
  }
}

// Every field has a value that is not the default one; of a oneof, the last member.
void Fill(Message* message, int depth) {
  const Descriptor* const type = message->GetDescriptor();
  // Its content is one of any message.
  if (type->full_name() == "google.protobuf.Any") return;
  for (int i = 0; i < type->field_count(); ++i) FillField(message, type->field(i), depth);
}

void CheckNothingUnknown(const Message& message) {
  const Reflection* const reflection = message.GetReflection();
  INFO(message.GetTypeName());
  CHECK(reflection->GetUnknownFields(message).empty());
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      CheckNothingUnknown(reflection->GetMessage(message, field));
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
      CheckNothingUnknown(reflection->GetRepeatedMessage(message, field, i));
    }
  }
}

// What a file is to say of the message, where it says nothing yet.
std::string NewSection(const std::string& name, const Message& message) {
  std::string section = absl::StrCat("[", name, "]\n");
  const std::string hex = HexEncode(message.SerializeAsString());
  for (size_t at = 0; at < hex.size(); at += kHexOnLine) {
    absl::StrAppend(&section, hex.substr(at, kHexOnLine), "\n");
  }
  std::string text;
  TextFormat::PrintToString(message, &text);
  return absl::StrCat(section, "\n", text);
}

void CheckSection(const std::map<std::string, testing::StoredSection>& sections,
                  const std::string& path, const std::string& name, const Message& example) {
  INFO(path << ": " << name);
  const auto found = sections.find(name);
  if (found == sections.end()) {
    // As it is to be in the file, which a message of the test framework would not be.
    std::cout << path << " has no section " << name << "; add:\n\n"
              << NewSection(name, example) << std::endl;
    FAIL_CHECK("there is no such section");
    return;
  }
  const std::unique_ptr<Message> stored(example.New());
  const std::unique_ptr<Message> said(example.New());
  REQUIRE(stored->ParseFromString(found->second.bytes));
  REQUIRE(TextFormat::ParseFromString(found->second.text, said.get()));
  CheckNothingUnknown(*stored);
  CHECK(google::protobuf::util::MessageDifferencer::Equals(*stored, *said));
}

TEST_CASE("every event that was ever stored decodes, and says what it said", "[eventlog][stored]") {
  struct Row {
    const Message* event;
    const char* path;
  };
  const Row row = GENERATE(
      Row{&auth::v1::Event::default_instance(), "protos/berth/auth/v1/stored_events.txt"},
      Row{&config::v1::Event::default_instance(), "protos/berth/config/v1/stored_events.txt"},
      Row{&edge_router::v1::Event::default_instance(),
          "protos/berth/edge_router/v1/stored_events.txt"},
      Row{&scheduler::v1::Event::default_instance(), "protos/berth/scheduler/v1/stored_events.txt"},
      Row{&secrets::v1::Event::default_instance(), "protos/berth/secrets/v1/stored_events.txt"});
  const std::map<std::string, testing::StoredSection> sections =
      testing::ReadStoredSections(row.path);
  const Descriptor* const type = row.event->GetDescriptor();
  REQUIRE(type->oneof_decl_count() == 1);
  for (int i = 0; i < type->field_count(); ++i) {
    const std::unique_ptr<Message> example(row.event->New());
    FillField(example.get(), type->field(i), 0);
    CheckSection(sections, row.path, type->field(i)->name(), *example);
  }
  // What is no event any more was one.
  for (const auto& [name, section] : sections) {
    INFO(row.path << ": " << name);
    CHECK(type->FindFieldByName(name) != nullptr);
  }
}

// A log that was cut has nothing but a state to begin with.
TEST_CASE("every state that was ever saved decodes, and says what it said", "[eventlog][stored]") {
  struct Row {
    const Message* state;
    const char* service;
  };
  const Row row = GENERATE(Row{&auth::v1::StateSnapshot::default_instance(), "auth"},
                           Row{&config::v1::StateSnapshot::default_instance(), "config"},
                           Row{&edge_router::v1::StateSnapshot::default_instance(), "edge_router"},
                           Row{&scheduler::v1::StateSnapshot::default_instance(), "scheduler"},
                           Row{&secrets::v1::StateSnapshot::default_instance(), "secrets"});
  const std::string path = absl::StrCat("protos/berth/", row.service, "/v1/stored_state.txt");
  const std::unique_ptr<Message> example(row.state->New());
  Fill(example.get(), 0);
  const std::map<std::string, testing::StoredSection> sections = testing::ReadStoredSections(path);
  REQUIRE_FALSE(sections.empty());
  // One more for each time that fields came.
  bool all_fields = false;
  for (const auto& [name, section] : sections) {
    CheckSection(sections, path, name, *example);
    const std::unique_ptr<Message> stored(example->New());
    REQUIRE(stored->ParseFromString(section.bytes));
    all_fields =
        all_fields || google::protobuf::util::MessageDifferencer::Equals(*stored, *example);
  }
  if (!all_fields) CheckSection({}, path, absl::StrCat("state ", sections.size() + 1), *example);
}

TEST_CASE("a record that was ever stored decodes, and says what it said", "[eventlog][stored]") {
  const std::string path = "protos/berth/eventlog/v1/stored_record.txt";
  eventlog::v1::Record example;
  Fill(&example, 0);
  CheckSection(testing::ReadStoredSections(path), path, "record", example);
  eventlog::v1::LogBegin begin;
  Fill(&begin, 0);
  CheckSection(testing::ReadStoredSections(path), path, "log_begin", begin);
}

}  // namespace
}  // namespace berth
