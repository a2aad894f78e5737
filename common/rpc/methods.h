#pragma once

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "berth/options/v1/access.pb.h"

namespace berth::rpc {

// One RPC, as its proto declares it. Lives for ever.
struct Method {
  const google::protobuf::MethodDescriptor* descriptor;
  std::string path;       // /berth.config.v1.ConfigService/Deploy, as HTTP/2 carries it.
  std::string full_name;  // berth.config.v1.ConfigService.Deploy, as records and logs say it.
  options::v1::Permission permission;
  // The way to the request's field that names the org; empty where the RPC is not about one.
  std::vector<const google::protobuf::FieldDescriptor*> org_field;
  // The request's field that names the service that answers; nullptr where that of the proto does.
  const google::protobuf::FieldDescriptor* service_field = nullptr;
};

// The methods of a service, in the order of its proto. kInternal: a method declares no permission,
// or an org field that is not there: a server refuses to start with it.
absl::Status CheckDeclarations(const google::protobuf::ServiceDescriptor& service);
const std::vector<Method>& MethodsOf(const google::protobuf::ServiceDescriptor& service);

// The only method that takes this request. Crashes where there is none, or more than one: request
// messages are unique to their method.
const Method& MethodFor(const google::protobuf::Descriptor& request);

// The service that answers such a call, by the name it has in its certificate: "edge-router" for
// the methods of berth.edge_router.v1.EdgeRouterService, and what the serialised request names
// where every service serves the method.
std::string ServiceNameOf(const Method& method, const std::string& request);

// What the org field of a request holds; empty where the method has none.
std::string OrgOf(const Method& method, const google::protobuf::Message& request);

}  // namespace berth::rpc
