#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/manifest/hostname.h"
#include "common/manifest/image_reference.h"
#include "common/manifest/manifest.h"
#include "common/manifest/manifest_values.h"
#include "common/manifest/parse_process.h"
#include "common/manifest/route.h"
#include "common/status/error_details.h"
#include "common/yaml/nearest_name.h"
#include "common/yaml/strict_yaml.h"
#include "common/yaml/value.h"

namespace berth {
namespace {

using config::v1::Manifest;
using config::v1::Route;

constexpr char kSchema[] = "berth/v1";
constexpr char kOwnFieldPrefix[] = "x-";
constexpr size_t kProcessesMax = 50;
// Leaves room in the DNS label of an instance, which is PROCESS-ID.
constexpr size_t kProcessNameBytesMax = 50;
constexpr size_t kRoutesMax = 100;

void ParseSchema(const yaml::Value& document, yaml::Fields& fields) {
  const auto schema = fields.Required("schema");
  if (!schema.has_value()) return;
  schema->Choice({kSchema});
  // Whoever reads the file, a person or a program, must know the schema before the rest.
  if (document.node().entries[0].key != "schema") schema->Refuse("must be the first field");
}

void ParseImageReference(const yaml::Value& value, config::v1::Image* image) {
  const auto reference = value.Word("an image such as registry.example.com/notes:1.8");
  if (!reference.has_value()) return;
  if (!IsImageReference(*reference)) {
    value.Refuse(absl::StrCat(yaml::Quoted(*reference),
                              " is not an image; write [HOST/]NAME[:TAG] in lower case"));
  }
  image->set_ref(*reference);
}

void ParseImage(const yaml::Value& value, config::v1::Image* image) {
  image->set_pull(config::v1::IMAGE_PULL_MISSING);
  if (value.IsScalar()) return ParseImageReference(value, image);
  yaml::Fields fields(value);
  if (const auto reference = fields.Required("ref")) ParseImageReference(*reference, image);
  if (const auto pull = fields.Optional("pull")) {
    constexpr config::v1::ImagePull kPulls[] = {config::v1::IMAGE_PULL_MISSING,
                                                config::v1::IMAGE_PULL_ALWAYS,
                                                config::v1::IMAGE_PULL_NEVER};
    image->set_pull(kPulls[pull->Choice({"missing", "always", "never"}).value_or(0)]);
  }
  fields.RefuseUnknown();
}

void ReadListener(const yaml::Value& value, Route* route) {
  constexpr char kExpected[] = "a listener such as tls/443 or tcp/7000";
  const auto text = value.Word(kExpected);
  if (!text.has_value()) return;
  if (const std::optional<Route> listener = ParseListener(*text)) {
    *route = *listener;
  } else {
    value.Refuse(absl::StrCat(yaml::Quoted(*text), " is not ", kExpected));
  }
}

void ParseHostname(const std::optional<yaml::Value>& value, const yaml::Value& route_value,
                   Route* route) {
  if (route->has_tcp() && value.has_value()) {
    value->Refuse("only a tls listener has a host; other connections do not name one");
  }
  if (!route->has_tls()) return;
  if (!value.has_value()) {
    route_value.Refuse("host is missing; a tls listener finds the route by it");
    return;
  }
  const auto text = value->Word("a host name");
  if (!text.has_value()) return;
  const auto hostname = CanonicalHostname(*text);
  if (!hostname.ok()) {
    value->Refuse(hostname.status().message());
  } else {
    route->mutable_tls()->set_hostname(*hostname);
  }
}

void ParseTarget(const yaml::Value& value, const Manifest& manifest,
                 config::v1::RouteTarget* target) {
  const auto text = value.Word("PROCESS.PORT");
  if (!text.has_value()) return;
  const std::optional<config::v1::RouteTarget> parsed = ParseRouteTarget(*text);
  if (!parsed.has_value()) {
    value.Refuse(absl::StrCat(yaml::Quoted(*text), " is not PROCESS.PORT, such as web.http"));
    return;
  }
  const std::string& process = parsed->process();
  const auto found = manifest.processes().find(process);
  if (found == manifest.processes().end()) {
    std::vector<std::string> known;
    for (const auto& [name, unused] : manifest.processes()) known.push_back(name);
    std::sort(known.begin(), known.end());
    value.Refuse(absl::StrCat("there is no process ", yaml::Quoted(process),
                              yaml::DidYouMean(process, known)));
    return;
  }
  if (CheckPortName(value, found->second, parsed->port())) *target = *parsed;
}

void ParseRoute(const yaml::Value& value, const Manifest& manifest, Route* route) {
  yaml::Fields fields(value);
  if (const auto listen = fields.Required("listen")) ReadListener(*listen, route);
  ParseHostname(fields.Optional("host"), value, route);
  if (const auto to = fields.Required("to")) ParseTarget(*to, manifest, route->mutable_to());
  if (const auto tls = fields.Optional("tls")) {
    tls->Choice({"passthrough"});
    if (route->has_tcp()) tls->Refuse("only a tls listener has tls");
  }
  route->set_proxy_protocol(config::v1::PROXY_PROTOCOL_NONE);
  if (const auto proxy_protocol = fields.Optional("proxy_protocol")) {
    if (proxy_protocol->Choice({"none", "v2"}) == 1) {
      route->set_proxy_protocol(config::v1::PROXY_PROTOCOL_V2);
    }
  }
  fields.RefuseUnknown();
}

// Routes of one manifest that an edge could not tell apart.
class Listeners {
 public:
  void Add(const yaml::NamedValue& entry, const Route& route) {
    const uint32_t port = PortOf(route);
    if (port == 0 || (route.has_tls() && route.tls().hostname().empty())) return;
    const auto [first, is_new_port] = by_port_.emplace(port, std::pair(entry.name, route));
    if (!is_new_port && !(route.has_tls() && first->second.second.has_tls())) {
      entry.RefuseName(absl::StrCat("port ", port, " is taken by route ", first->second.first));
      return;
    }
    const auto [other, is_new] =
        by_hostname_.emplace(std::pair(port, route.tls().hostname()), entry.name);
    if (!is_new) {
      entry.RefuseName(absl::StrCat(route.tls().hostname(), " on port ", port,
                                    " is taken by route ", other->second));
    }
  }

 private:
  std::map<uint32_t, std::pair<std::string, Route>> by_port_;
  std::map<std::pair<uint32_t, std::string>, std::string> by_hostname_;
};

void ParseProcesses(const yaml::Value& value, Manifest* manifest) {
  const std::vector<yaml::NamedValue> entries = value.Entries(kProcessesMax);
  for (const yaml::NamedValue& entry : entries) {
    CheckName(entry, kProcessNameBytesMax);
    ParseProcess(entry.value, &(*manifest->mutable_processes())[entry.name]);
  }
  if (value.IsMapping() && value.node().entries.empty()) value.Refuse("is empty");
}

void ParseRoutes(const yaml::Value& value, Manifest* manifest) {
  Listeners listeners;
  for (const yaml::NamedValue& entry : value.Entries(kRoutesMax)) {
    CheckName(entry);
    Route& route = (*manifest->mutable_routes())[entry.name];
    ParseRoute(entry.value, *manifest, &route);
    listeners.Add(entry, route);
  }
}

google::protobuf::Value ToValue(const yaml::Node& node) {
  google::protobuf::Value value;
  switch (node.kind) {
    case yaml::Node::Kind::kNull:
    case yaml::Node::Kind::kRefused:
      value.set_null_value(google::protobuf::NULL_VALUE);
      break;
    case yaml::Node::Kind::kScalar:
      value.set_string_value(node.scalar);
      break;
    case yaml::Node::Kind::kSequence:
      value.mutable_list_value();
      for (const yaml::Node& item : node.items) {
        *value.mutable_list_value()->add_values() = ToValue(item);
      }
      break;
    case yaml::Node::Kind::kMapping:
      value.mutable_struct_value();
      for (const yaml::Entry& entry : node.entries) {
        (*value.mutable_struct_value()->mutable_fields())[entry.key] = ToValue(entry.value);
      }
      break;
  }
  return value;
}

Manifest ParseDocument(const yaml::Value& document) {
  Manifest manifest;
  yaml::Fields fields(document);
  ParseSchema(document, fields);
  if (const auto app = fields.Required("app")) manifest.set_app(ReadName(*app).value_or(""));
  if (const auto org = fields.Optional("org")) manifest.set_org(ReadName(*org).value_or(""));
  if (const auto image = fields.Required("image")) ParseImage(*image, manifest.mutable_image());
  if (const auto processes = fields.Required("processes")) ParseProcesses(*processes, &manifest);
  if (const auto routes = fields.Optional("routes")) ParseRoutes(*routes, &manifest);
  for (const yaml::NamedValue& entry : fields.StartingWith(kOwnFieldPrefix)) {
    (*manifest.mutable_extensions())[entry.name] = ToValue(entry.value.node());
  }
  fields.RefuseUnknown();
  return manifest;
}

}  // namespace

absl::StatusOr<Manifest> ParseManifest(absl::string_view yaml, absl::string_view file_name) {
  yaml::Findings findings(file_name);
  const auto document = yaml::ParseStrict(yaml, kManifestBytesMax, &findings);
  Manifest manifest;
  if (document.has_value()) manifest = ParseDocument(yaml::Value(*document, "", &findings));
  const absl::Status status = findings.ToStatus();
  if (!status.ok()) return WithReason(status, reason::kManifestInvalid);
  return manifest;
}

}  // namespace berth
