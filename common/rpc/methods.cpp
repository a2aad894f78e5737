#include "common/rpc/methods.h"

#include <google/protobuf/message.h>

#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "berth/auth/v1/auth.pb.h"
#include "berth/config/v1/config.pb.h"
#include "berth/edge_router/v1/edge_router.pb.h"
#include "berth/eventlog/v1/log.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "berth/secrets/v1/secrets.pb.h"
#include "common/check/check.h"
#include "common/sync/mutex.h"

namespace berth::rpc {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;

// Every service there is: what a request message is looked up in.
std::vector<const ServiceDescriptor*> AllServices() {
  std::vector<const ServiceDescriptor*> services;
  for (const google::protobuf::FileDescriptor* file :
       {auth::v1::LoginRequest::descriptor()->file(),
        config::v1::DeployRequest::descriptor()->file(),
        edge_router::v1::ListRoutesRequest::descriptor()->file(),
        eventlog::v1::ListRecordsRequest::descriptor()->file(),
        scheduler::v1::ReportRequest::descriptor()->file(),
        secrets::v1::PutSecretRequest::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) services.push_back(file->service(i));
  }
  return services;
}

// The fields along a path such as environment.org; empty where one is not there.
std::vector<const FieldDescriptor*> FindField(const Descriptor* message, const std::string& path) {
  std::vector<const FieldDescriptor*> fields;
  for (const absl::string_view name : absl::StrSplit(path, '.')) {
    if (message == nullptr) return {};
    const FieldDescriptor* field = message->FindFieldByName(std::string(name));
    if (field == nullptr || field->is_repeated()) return {};
    fields.push_back(field);
    message = field->message_type();
  }
  if (fields.back()->cpp_type() != FieldDescriptor::CPPTYPE_STRING) return {};
  return fields;
}

Method Describe(const MethodDescriptor* descriptor) {
  const options::v1::Access& access = descriptor->options().GetExtension(options::v1::access);
  Method method{descriptor,
                absl::StrCat("/", descriptor->service()->full_name(), "/", descriptor->name()),
                descriptor->full_name(),
                access.permission(),
                {},
                nullptr};
  if (!access.org_field().empty()) {
    method.org_field = FindField(descriptor->input_type(), access.org_field());
  }
  if (!access.service_field().empty()) {
    const std::vector<const FieldDescriptor*> field =
        FindField(descriptor->input_type(), access.service_field());
    BERTH_CHECK_MESSAGE(field.size() == 1, method.full_name);
    method.service_field = field.front();
  }
  return method;
}

bool NeedsOrg(options::v1::Permission permission) {
  switch (permission) {
    case options::v1::PERMISSION_READ:
    case options::v1::PERMISSION_DEPLOY:
    case options::v1::PERMISSION_SCALE:
    case options::v1::PERMISSION_LOGS:
    case options::v1::PERMISSION_EXEC:
    case options::v1::PERMISSION_ROUTE_WRITE:
    case options::v1::PERMISSION_SECRET_WRITE:
    case options::v1::PERMISSION_SECRET_READ:
    case options::v1::PERMISSION_ADMIN:
      return true;
    default:
      return false;
  }
}

}  // namespace

absl::Status CheckDeclarations(const ServiceDescriptor& service) {
  for (const Method& method : MethodsOf(service)) {
    if (method.permission == options::v1::PERMISSION_UNSPECIFIED) {
      return absl::InternalError(absl::StrCat(method.full_name, " declares no permission"));
    }
    if (NeedsOrg(method.permission) == method.org_field.empty()) {
      return absl::InternalError(absl::StrCat(
          method.full_name, " must declare an org field exactly where its permission is an org's"));
    }
  }
  return absl::OkStatus();
}

const std::vector<Method>& MethodsOf(const ServiceDescriptor& service) {
  static Mutex mutex;
  static auto& known =
      *new std::map<const ServiceDescriptor*, std::unique_ptr<std::vector<Method>>>;
  MutexLock lock(&mutex);
  std::unique_ptr<std::vector<Method>>& methods = known[&service];
  if (methods == nullptr) {
    methods = std::make_unique<std::vector<Method>>();
    for (int i = 0; i < service.method_count(); ++i) {
      methods->push_back(Describe(service.method(i)));
    }
  }
  return *methods;
}

const Method& MethodFor(const Descriptor& request) {
  static const auto& by_request = *[] {
    auto* map = new std::map<const Descriptor*, const Method*>;
    for (const ServiceDescriptor* service : AllServices()) {
      for (const Method& method : MethodsOf(*service)) {
        const bool unique = map->emplace(method.descriptor->input_type(), &method).second;
        BERTH_CHECK_MESSAGE(unique, method.full_name);
      }
    }
    return map;
  }();
  const auto found = by_request.find(&request);
  BERTH_CHECK_MESSAGE(found != by_request.end(), request.full_name());
  return *found->second;
}

std::string ServiceNameOf(const Method& method, const std::string& request) {
  if (method.service_field != nullptr) {
    const std::unique_ptr<google::protobuf::Message> message(
        google::protobuf::MessageFactory::generated_factory()
            ->GetPrototype(method.descriptor->input_type())
            ->New());
    if (!message->ParseFromString(request)) return "";
    return message->GetReflection()->GetString(*message, method.service_field);
  }
  // The package is berth.NAME.v1.
  const std::vector<std::string> package =
      absl::StrSplit(method.descriptor->file()->package(), '.');
  BERTH_CHECK_MESSAGE(package.size() == 3, method.full_name);
  return absl::StrReplaceAll(package[1], {{"_", "-"}});
}

std::string OrgOf(const Method& method, const google::protobuf::Message& request) {
  if (method.org_field.empty()) return "";
  const google::protobuf::Message* message = &request;
  for (size_t i = 0; i + 1 < method.org_field.size(); ++i) {
    message = &message->GetReflection()->GetMessage(*message, method.org_field[i]);
  }
  return message->GetReflection()->GetString(*message, method.org_field.back());
}

}  // namespace berth::rpc
