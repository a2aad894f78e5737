#include "common/history/record_view.h"

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/subject.h"

namespace berth {
namespace {

using eventlog::v1::EventView;
using eventlog::v1::Record;
using eventlog::v1::RecordView;
using eventlog::v1::StoredEvent;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// What would only help to try out a value. Who needs them reads the log itself.
bool IsDigest(const FieldDescriptor& field) {
  const auto named = [&field](absl::string_view end) { return absl::EndsWith(field.name(), end); };
  return field.type() == FieldDescriptor::TYPE_BYTES &&
         (named("hash") || named("hashes") || named("digest") || field.name() == "uid");
}

void LeaveOutDigests(Message* message) {
  const google::protobuf::Reflection& reflection = *message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(*message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (IsDigest(*field)) {
      reflection.ClearField(message, field);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (!field->is_repeated()) {
        LeaveOutDigests(reflection.MutableMessage(message, field));
      } else {
        for (int i = 0; i < reflection.FieldSize(*message, field); ++i) {
          LeaveOutDigests(reflection.MutableRepeatedMessage(message, field, i));
        }
      }
    }
  }
}

void ShowEvent(const StoredEvent& stored, Message* event, EventView* view) {
  const FieldDescriptor* field =
      event->GetDescriptor()->FindFieldByNumber(static_cast<int>(stored.type()));
  view->set_name(field == nullptr ? absl::StrCat("event ", stored.type()) : field->name());
  if (stored.payload().size() > kShownEventBytesMax) return;
  LeaveOutDigests(event);
  event->SerializeToString(view->mutable_payload());
}

}  // namespace

std::optional<RecordView> ViewOf(const Record& record, const Message& event_type,
                                 const std::string& org) {
  const bool own = org.empty() || record.org() == org;
  RecordView view;
  std::set<std::string> resources;
  if (own) resources.insert(record.resources().begin(), record.resources().end());
  for (const StoredEvent& stored : record.events()) {
    const std::unique_ptr<Message> event(event_type.New());
    if (!event->ParseFromString(stored.payload())) continue;
    rpc::Subject subject = rpc::SubjectOf(*event);
    if (subject.org.empty()) subject.org = stored.org().empty() ? record.org() : stored.org();
    if (!org.empty() && subject.org != org) continue;
    resources.merge(subject.resources);
    ShowEvent(stored, event.get(), view.add_events());
  }
  if (!own && view.events().empty()) return std::nullopt;
  view.mutable_id()->set_stream(record.stream());
  view.mutable_id()->set_position(record.position());
  *view.mutable_time() = record.time();
  view.mutable_actor()->set_principal(record.actor().principal());
  view.set_method(record.method());
  if (record.has_cause()) *view.mutable_cause() = record.cause();
  view.set_code(record.outcome().code());
  if (own) {
    // Where a call came from, and what it was told, is for those whose org it was about.
    view.mutable_actor()->set_address(record.actor().address());
    view.set_refusal(record.outcome().message());
    view.set_org(record.org());
  }
  for (const std::string& resource : resources) view.add_resources(resource);
  return view;
}

bool Matches(const eventlog::v1::RecordFilter& filter, const RecordView& view) {
  if (!filter.actor().empty() && filter.actor() != view.actor().principal()) return false;
  if (filter.resource().empty()) return true;
  const std::string app_prefix = absl::StrCat(filter.resource(), "/");
  const bool is_app = !absl::StrContains(filter.resource(), '/');
  return std::any_of(
      view.resources().begin(), view.resources().end(), [&](const std::string& resource) {
        return resource == filter.resource() || (is_app && absl::StartsWith(resource, app_prefix));
      });
}

}  // namespace berth
