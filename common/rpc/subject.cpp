#include "common/rpc/subject.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "berth/auth/v1/auth.pb.h"
#include "berth/types/v1/types.pb.h"
#include "common/ids/names.h"

namespace berth::rpc {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// What is named lies no deeper, such as event → endpoint → environment.
constexpr int kDepthMax = 3;
constexpr size_t kInstanceSizeMax = 100;

bool IsName(const std::string& text) { return CheckName("it", text).ok(); }

bool IsInstance(const std::string& text) {
  return !text.empty() && text.size() <= kInstanceSizeMax &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

void Add(const types::v1::EnvironmentName& name, Subject* subject) {
  if (IsName(name.org())) subject->org = name.org();
  if (IsName(name.app()) && IsName(name.env())) {
    subject->resources.insert(absl::StrCat(name.app(), "/", name.env()));
  }
}

void Add(auth::v1::MachineKind kind, const std::string& name, Subject* subject) {
  if (!IsName(name)) return;
  switch (kind) {
    case auth::v1::MACHINE_KIND_HOST:
      subject->resources.insert(absl::StrCat("host/", name));
      return;
    case auth::v1::MACHINE_KIND_EDGE:
      subject->resources.insert(absl::StrCat("edge/", name));
      return;
    default:
      return;
  }
}

// What `name` is a name of, in a message of that package.
std::string KindOfName(const std::string& package) {
  if (package == "berth.secrets.v1") return "secret/";
  if (package == "berth.edge_router.v1") return "route/";
  if (package == "berth.auth.v1") return "token/";
  return "";
}

void AddText(const Message& message, const FieldDescriptor* field, Subject* subject) {
  const std::string text = message.GetReflection()->GetString(message, field);
  const std::string& what = field->name();
  if (what == "org" && IsName(text)) {
    subject->org = text;
  } else if ((what == "host" || what == "edge") && IsName(text)) {
    subject->resources.insert(absl::StrCat(what, "/", text));
  } else if (what == "instance" && IsInstance(text)) {
    subject->resources.insert(absl::StrCat("instance/", text));
  } else if (what == "principal" && absl::StartsWith(text, "user/") && IsName(text.substr(5))) {
    subject->resources.insert(text);
  } else if (what == "name" && IsName(text)) {
    const auto* kind = message.GetDescriptor()->FindFieldByName("kind");
    if (kind != nullptr && kind->enum_type() == auth::v1::MachineKind_descriptor()) {
      return Add(static_cast<auth::v1::MachineKind>(
                     message.GetReflection()->GetEnumValue(message, kind)),
                 text, subject);
    }
    const std::string prefix = KindOfName(message.GetDescriptor()->file()->package());
    if (!prefix.empty()) subject->resources.insert(absl::StrCat(prefix, text));
  }
}

void Walk(const Message& message, int depth, Subject* subject) {
  if (const auto* name = dynamic_cast<const types::v1::EnvironmentName*>(&message)) {
    return Add(*name, subject);
  }
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->is_repeated()) continue;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      AddText(message, field, subject);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && depth < kDepthMax) {
      Walk(message.GetReflection()->GetMessage(message, field), depth + 1, subject);
    }
  }
}

}  // namespace

Subject SubjectOf(const Message& message) {
  Subject subject;
  Walk(message, 0, &subject);
  return subject;
}

}  // namespace berth::rpc
