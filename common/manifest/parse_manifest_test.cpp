#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/manifest/manifest.h"
#include "common/status/error_details.h"
#include "common/testing/printers.h"

namespace berth {
namespace {

using google::protobuf::util::MessageDifferencer;

std::string Read(const std::string& path) {
  std::ifstream file(path);
  REQUIRE(file);
  return (std::stringstream() << file.rdbuf()).str();
}

std::string Testdata(const std::string& name) { return Read("common/manifest/testdata/" + name); }

// What is wrong with the manifest, all of it; empty where nothing is.
std::string Mistakes(absl::string_view yaml) {
  return std::string(ParseManifest(yaml, "berth.yaml").status().message());
}

// A manifest whose one process has these fields, the first on line 5, column 11.
std::string WithProcess(absl::string_view fields) {
  return absl::StrCat("schema: berth/v1\napp: notes\nimage: localhost/notes\nprocesses:\n  web: {",
                      fields, "}\n");
}

// The same with a port http and these routes, the first on line 6, column 10.
std::string WithRoutes(absl::string_view routes) {
  return absl::StrCat(WithProcess("ports: {http: 8080}"), "routes: {", routes, "}\n");
}

config::v1::Process Process(absl::string_view fields) {
  const auto manifest = ParseManifest(WithProcess(fields), "berth.yaml");
  REQUIRE(manifest.status() == absl::OkStatus());
  return manifest->processes().at("web");
}

struct Case {
  std::string text;
  std::string mistake;
};

TEST_CASE("a full manifest is read as it is meant", "[manifest]") {
  const auto manifest = ParseManifest(Testdata("full.yaml"), "full.yaml");
  REQUIRE(manifest.status() == absl::OkStatus());
  config::v1::Manifest expected;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(Testdata("full.textproto"), &expected));
  std::string differences;
  MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&differences);
  CHECK(differencer.Compare(expected, *manifest));
  CHECK(differences == "");
}

TEST_CASE("normalised bytes are the manifest's, and the same for what means the same",
          "[manifest]") {
  const std::string yaml = Testdata("full.yaml");
  const auto manifest = ParseManifest(yaml, "a");
  REQUIRE(manifest.ok());
  config::v1::Manifest parsed;
  REQUIRE(parsed.ParseFromString(Normalise(*manifest)));
  CHECK(MessageDifferencer::Equals(parsed, *manifest));

  const std::vector<std::pair<std::string, std::string>> same = {
      {"500m", "0.5"},
      {"256MiB", "268435456"},
      {"1h30m", "90m"},
      {"tls: 8443", "tls: {port: 8443}"},
      {"Notes.Example.COM.", "notes.example.com"},
      {"worker: {}", "worker: {stop: {grace: 10s}}  # as ever"}};
  for (const auto& change : same) {
    const std::string changed = absl::StrReplaceAll(yaml, {change});
    REQUIRE(changed != yaml);
    CHECK(Normalise(*ParseManifest(changed, "b")) == Normalise(*manifest));
  }
  CHECK(Normalise(*ParseManifest(absl::StrReplaceAll(yaml, {{"replicas: 2", "replicas: 3"}}),
                                 "b")) != Normalise(*manifest));
}

TEST_CASE("a manifest keeps its digest from one version of Berth to the next", "[manifest]") {
  const auto manifest = ParseManifest(Testdata("full.yaml"), "a");
  REQUIRE(manifest.ok());
  CHECK(ManifestDigest(*manifest) ==
        "a40f59b006549f458509ff18aaf8bdf192b2c4f1f58dd2f924bf3851f7d68ec8");
}

TEST_CASE("the example that comes with Berth is a manifest", "[manifest]") {
  const auto manifest = ParseManifest(Read("k8s-free-deploy/examples/hello/berth.yaml"), "hello");
  REQUIRE(manifest.status() == absl::OkStatus());
  CHECK(manifest->processes().at("web").replicas() == 2);
}

TEST_CASE("a short manifest has every default", "[manifest]") {
  const config::v1::Process process = Process("ports: {http: 8080}, secrets: [database-url]");
  CHECK_FALSE(process.has_replicas());
  CHECK(process.ports().at("http").port() == 8080);
  CHECK(process.secrets().names(0) == "database-url");
  CHECK(process.secrets().file() == "/run/berth/secrets.env");
  CHECK_FALSE(process.has_ready());
  CHECK(Process("replicas: 0").has_replicas());
  CHECK_FALSE(Process("").has_secrets());
}

TEST_CASE("a probe asks one thing, with defaults for how", "[manifest]") {
  CHECK(Process("ports: {http: 80}, checks: {ready: {tcp: http}}").ready().tcp().port() == "http");
  const auto probe = Process("ports: {http: 80}, checks: {live: {http: {port: http}}}").live();
  CHECK(probe.http().path() == "/");
  CHECK(probe.http().expect().empty());
  CHECK(probe.interval().seconds() == 5);
  CHECK(probe.timeout().seconds() == 2);
  CHECK(probe.successes() == 1);
  CHECK(probe.failures() == 3);
}

TEST_CASE("a mistake is a field violation with a place", "[manifest]") {
  const absl::Status status = ParseManifest(WithProcess("prots: {}"), "berth.yaml").status();
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(ReasonOf(status) == reason::kManifestInvalid);
  CHECK(status.message() ==
        "berth.yaml:5:9: processes.web.prots: unknown field; did you mean ports?");
  REQUIRE(FieldViolationsOf(status).size() == 1);
  CHECK(FieldViolationsOf(status)[0].field == "processes.web.prots");
  CHECK(FieldViolationsOf(status)[0].description == status.message());
}

TEST_CASE("all mistakes are reported at once, in the file's order", "[manifest]") {
  CHECK(Mistakes(R"(schema: berth/v1
app: Notes
imgae: x
processes:
  web:
    replicas: many
    ports: {http: 8080, also: 8080}
    checks: {ready: {tcp: htpt}}
  web: {}
routes:
  public: {listen: tls/443, host: a.example, to: wbe.http}
)") == "berth.yaml:1:1: image is missing\n"
       "berth.yaml:2:6: app: \"Notes\" is not a name; use lower-case letters, digits and dashes, "
       "starting with a letter\n"
       "berth.yaml:3:1: imgae: unknown field; did you mean image?\n"
       "berth.yaml:6:15: processes.web.replicas: \"many\" is not a whole number from 0 to 1000\n"
       "berth.yaml:7:31: processes.web.ports.also: port 8080 is http's\n"
       "berth.yaml:8:27: processes.web.checks.ready.tcp: there is no port \"htpt\"; the process "
       "has also, http; did you mean http?\n"
       "berth.yaml:9:3: duplicate key \"web\"\n"
       "berth.yaml:11:50: routes.public.to: there is no process \"wbe\"; did you mean web?");
}

TEST_CASE("a manifest names its schema, its app, an image and a process", "[manifest]") {
  for (const auto& [text, mistake] : std::vector<Case>{
           {"", "berth.yaml:1:1: is empty; write a mapping"},
           {"[]", "berth.yaml:1:1: is a list, not a mapping"},
           {"x-a: 1\n",
            "berth.yaml:1:1: schema is missing\nberth.yaml:1:1: app is missing\n"
            "berth.yaml:1:1: image is missing\nberth.yaml:1:1: processes is missing"},
           {"schema: berth/v2\napp: a\nimage: a\nprocesses: {web: {}}\n",
            "berth.yaml:1:9: schema: \"berth/v2\" is not berth/v1"},
           {"app: a\nschema: berth/v1\nimage: a\nprocesses: {web: {}}\n",
            "berth.yaml:2:9: schema: must be the first field"},
           {"schema: berth/v1\napp: a\nimage: a\nprocesses: {}\n",
            "berth.yaml:4:12: processes: is empty"},
           {"schema: berth/v1\napp: a\nimage: A\nprocesses: {web: {}}\n",
            "berth.yaml:3:8: image: \"A\" is not an image; write [HOST/]NAME[:TAG] in lower case"},
           {"schema: berth/v1\napp: a\nimage: {pull: never}\nprocesses: {web: {}}\n",
            "berth.yaml:3:8: image: ref is missing"},
           {"schema: berth/v1\napp:\nimage: a\nprocesses: {web: }\n",
            "berth.yaml:2:1: app: is empty; write a name\n"
            "berth.yaml:4:13: processes.web: is empty; write a mapping"},
           {"schema: berth/v1\napp: a\nimage: a\nprocesses: {web: {}}\nvolumes: {}\njobs: {}\n",
            "berth.yaml:5:1: volumes: unknown field\nberth.yaml:6:1: jobs: unknown field"}}) {
    CHECK(Mistakes(text) == mistake);
  }
}

TEST_CASE("a wrong process says what is wrong with it", "[manifest]") {
  for (const auto& [fields, mistake] : std::vector<Case>{
           {"runtime: microvm", "5:18: processes.web.runtime: \"microvm\" is not podman"},
           {"command: serve",
            "5:18: processes.web.command: is a text, not a list; write "
            "[\"program\", \"argument\"]"},
           {"command: ['']", "5:19: processes.web.command[0]: is empty"},
           {"replicas: -1",
            "5:19: processes.web.replicas: \"-1\" is not a whole number from 0 to 1000"},
           {"ports: {Http: 80}",
            "5:17: processes.web.ports.Http: \"Http\" is not a name; use "
            "lower-case letters, digits and dashes, starting with a letter"},
           {"ports: {http: 0}",
            "5:23: processes.web.ports.http: \"0\" is not a whole number from 1 to 65535"},
           {"ports: {http: {}}", "5:23: processes.web.ports.http: port is missing"},
           {"ports: {dns: {port: 53, protocol: udp}}",
            "5:43: processes.web.ports.dns.protocol: \"udp\" is not tcp"},
           {"resources: {memory: 256}",
            "5:29: processes.web.resources.memory: \"256\" is a size in bytes, and less than 4MiB; "
            "did you mean 256MiB?"},
           {"resources: {memory: 64KiB}",
            "5:29: processes.web.resources.memory: \"64KiB\" is less than 4MiB"},
           {"resources: {memory: 17TiB}",
            "5:29: processes.web.resources.memory: \"17TiB\" is more than 16TiB"},
           {"resources: {memory: 1G}",
            "5:29: processes.web.resources.memory: \"1G\" has no known unit; write 1GiB"},
           {"resources: {cpu: half}",
            "5:26: processes.web.resources.cpu: \"half\" is not an amount "
            "of CPU; write one such as 500m or 0.5"},
           {"resources: {cpu: 0}", "5:26: processes.web.resources.cpu: \"0\" is less than 1m"},
           {"env: {1A: x}",
            "5:15: processes.web.env.1A: is not a variable's name; use letters, "
            "digits and _"},
           {"env: {BERTH_X: x}",
            "5:15: processes.web.env.BERTH_X: names starting with BERTH_ are Berth's own"},
           {"env: {A: ~}", "5:15: processes.web.env.A: is empty; write a text"},
           {"env: {A: '${{ var.X }}'}",
            "5:18: processes.web.env.A: holds ${{, and nothing is filled in here"},
           {"secrets: []", "5:18: processes.web.secrets: is empty"},
           {"secrets: [a, a]", "5:22: processes.web.secrets[1]: a is in the list twice"},
           {"secrets: {names: [a], file: run/x}",
            "5:37: processes.web.secrets.file: \"run/x\" is not an absolute path of a file"},
           {"secrets: {names: [a], file: /run/../x}",
            "5:37: processes.web.secrets.file: \"/run/../x\" is not an absolute path of a file"},
           {"secrets: {names: [key], env: {K: kye}}",
            "5:42: processes.web.secrets.env.K: kye is "
            "not among the names; did you mean key?"},
           {"env: {K: v}, secrets: {names: [a], env: {K: a}}",
            "5:50: processes.web.secrets.env.K: is among the process's env too"},
           {"checks: {ready: {}}",
            "5:25: processes.web.checks.ready: needs exactly one of tcp, http, exec"},
           {"ports: {a: 1}, checks: {ready: {tcp: a, exec: [b]}}",
            "5:40: processes.web.checks.ready: needs exactly one of tcp, http, exec"},
           {"checks: {ready: {tcp: '8080'}}",
            "5:31: processes.web.checks.ready.tcp: there is no "
            "port \"8080\"; the process has none"},
           {"checks: {ready: {exec: []}}", "5:32: processes.web.checks.ready.exec: is empty"},
           {"ports: {a: 1}, checks: {ready: {http: {port: a, path: \"x\\r\\ny\"}}}",
            "5:63: processes.web.checks.ready.http.path: \"x\\r\\ny\" is not a path; start it with "
            "/ and escape blanks as %20"},
           {"ports: {a: 1}, checks: {ready: {http: {port: a, expect: [99]}}}",
            "5:66: processes.web.checks.ready.http.expect[0]: \"99\" is not a whole number from "
            "100 to 599"},
           {"ports: {a: 1}, checks: {ready: {tcp: a, interval: 5}}",
            "5:59: processes.web.checks.ready.interval: \"5\" has no unit; for seconds write 5s"},
           {"ports: {a: 1}, checks: {ready: {tcp: a, timeout: 50ms}}",
            "5:58: processes.web.checks.ready.timeout: \"50ms\" is less than 100ms"},
           {"update: {max_surge: 0}",
            "5:17: processes.web.update: max_surge and max_unavailable "
            "are both 0: nothing could be replaced"},
           {"update: {deadline: 25h}",
            "5:28: processes.web.update.deadline: \"25h\" is more than 24h"},
           {"stop: {signal: TERM}",
            "5:24: processes.web.stop.signal: \"TERM\" is not one of SIGTERM, "
            "SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGKILL"},
           {"placement: {spread: zone}",
            "5:29: processes.web.placement.spread: \"zone\" is not one of host, none"},
           {"security: {user: a b}",
            "5:26: processes.web.security.user: \"a b\" is not a user; write UID, UID:GID or a "
            "name"},
           {"security: {read_only_root: yes}",
            "5:36: processes.web.security.read_only_root: \"yes\" is not one of true, false"},
           {"volumes: []", "5:9: processes.web.volumes: unknown field"}}) {
    CHECK(Mistakes(WithProcess(fields)) == "berth.yaml:" + mistake);
  }
}

TEST_CASE("a process's name leaves room for its instances' names", "[manifest]") {
  const std::string longest(50, 'a');
  const auto mistakes = [](const std::string& name) {
    return Mistakes(absl::StrReplaceAll(WithProcess(""), {{"web", name}}));
  };
  CHECK(mistakes(longest).empty());
  CHECK(mistakes(longest + "a") ==
        "berth.yaml:5:3: processes." + longest + "a: has a name longer than 50 characters");
}

TEST_CASE("a wrong route says what is wrong with it", "[manifest]") {
  for (const auto& [routes, mistake] : std::vector<Case>{
           {"a: {to: web.http}", "6:13: routes.a: listen is missing"},
           {"a: {listen: tcp/80}", "6:13: routes.a: to is missing"},
           {"a: {listen: udp/53, to: web.http}",
            "6:22: routes.a.listen: \"udp/53\" is not a listener such as tls/443 or tcp/7000"},
           {"a: {listen: tcp/65536, to: web.http}",
            "6:22: routes.a.listen: \"tcp/65536\" is not a listener such as tls/443 or tcp/7000"},
           {"a: {listen: tcp/080, to: web.http}",
            "6:22: routes.a.listen: \"tcp/080\" is not a listener such as tls/443 or tcp/7000"},
           {"a: {listen: tls/443, to: web.http}",
            "6:13: routes.a: host is missing; a tls listener finds the route by it"},
           {"a: {listen: tcp/80, host: b.example, to: web.http}",
            "6:36: routes.a.host: only a tls listener has a host; other connections do not name "
            "one"},
           {"a: {listen: tls/443, host: 192.0.2.1, to: web.http}",
            "6:37: routes.a.host: \"192.0.2.1\" is an IP address; TLS clients ask for names"},
           {"a: {listen: tcp/80, to: web}",
            "6:34: routes.a.to: \"web\" is not PROCESS.PORT, such as web.http"},
           {"a: {listen: tcp/80, to: web.https}",
            "6:34: routes.a.to: there is no port \"https\"; the process has http; did you mean "
            "http?"},
           {"a: {listen: tls/443, host: b.example, to: web.http, tls: terminate}",
            "6:67: routes.a.tls: \"terminate\" is not passthrough"},
           {"a: {listen: tcp/80, to: web.http, tls: passthrough}",
            "6:49: routes.a.tls: only a tls listener has tls"},
           {"a: {listen: tcp/80, to: web.http, proxy_protocol: v1}",
            "6:60: routes.a.proxy_protocol: \"v1\" is not one of none, v2"},
           {"a: {listen: tcp/80, to: web.http}, b: {listen: tcp/80, to: web.http}",
            "6:45: routes.b: port 80 is taken by route a"},
           {"a: {listen: tls/443, host: c.example, to: web.http}, "
            "b: {listen: tcp/443, to: web.http}",
            "6:63: routes.b: port 443 is taken by route a"},
           {"a: {listen: tls/443, host: c.example, to: web.http}, "
            "b: {listen: tls/443, host: C.example, to: web.http}",
            "6:63: routes.b: c.example on port 443 is taken by route a"}}) {
    CHECK(Mistakes(WithRoutes(routes)) == "berth.yaml:" + mistake);
  }
  CHECK(Mistakes(WithRoutes("a: {listen: tls/443, host: c.example, to: web.http}, "
                            "b: {listen: tls/443, host: '*.c.example', to: web.http}")) == "");
}

TEST_CASE("a manifest has a size limit", "[manifest]") {
  const std::string yaml = WithProcess("") + "#";
  CHECK(Mistakes(yaml + std::string(kManifestBytesMax - yaml.size(), 'x')).empty());
  CHECK(Mistakes(yaml + std::string(kManifestBytesMax - yaml.size() + 1, 'x')) ==
        "berth.yaml:1:1: has 262145 bytes; at most 262144 are read");
}

}  // namespace
}  // namespace berth
