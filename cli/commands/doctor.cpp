#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/runtime/program.h"
#include "berth/auth/v1/auth.pb.h"
#include "berth/scheduler/v1/scheduler.pb.h"
#include "cli/commands/commands.h"
#include "cli/errors.h"
#include "cli/local_platform.h"
#include "cli/readiness.h"
#include "cli/session.h"
#include "cli/wording.h"

namespace berth::cli {
namespace {

enum class Verdict { kOk, kWarning, kFailure };

// One thing that was looked at.
struct Check {
  std::string name;
  Verdict verdict = Verdict::kOk;
  std::string found;
  std::string action;  // What to do about it; empty where nothing needs doing.
};

std::string Text(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk: return "ok";
    case Verdict::kWarning: return "warn";
    case Verdict::kFailure: return "fail";
  }
  return "";
}

Check Failed(const std::string& name, const absl::Status& status) {
  return {name, Verdict::kFailure, std::string(status.message()), ActionFor(status)};
}

Check CheckContext(Session* session) {
  const absl::StatusOr<const Target*> target = session->target();
  if (!target.ok()) return Failed("context", target.status());
  return {"context", Verdict::kOk,
          absl::StrCat((*target)->context, ": ", (*target)->server, ", org ", (*target)->org), ""};
}

Check CheckServer(Session* session) {
  const auto caller = session->Call<auth::v1::WhoAmIResponse>(auth::v1::WhoAmIRequest());
  if (!caller.ok()) return Failed("server", caller.status());
  return {"server", Verdict::kOk, absl::StrCat("answers ", caller->principal()), ""};
}

// A check for each host and for each of its problems.
std::vector<Check> CheckHosts(Session* session) {
  scheduler::v1::ListHostsRequest request;
  const absl::StatusOr<std::string> org = session->Org();
  if (!org.ok()) return {Failed("hosts", org.status())};
  request.set_org(*org);
  const auto response = session->Call<scheduler::v1::ListHostsResponse>(request);
  if (!response.ok()) return {Failed("hosts", response.status())};
  if (response->hosts().empty()) {
    return {{"hosts", Verdict::kWarning, absl::StrCat("the org ", *org, " has none"),
             "`berth up` makes one of this machine"}};
  }
  std::vector<Check> checks;
  for (const scheduler::v1::Host& host : response->hosts()) {
    const std::string name = absl::StrCat("host ", host.name());
    for (const std::string& problem : host.facts().problems()) {
      checks.push_back({name, Verdict::kFailure, problem, "mend it on that host"});
    }
    if (host.presence() != scheduler::v1::HOST_PRESENCE_UP) {
      checks.push_back({name, Verdict::kFailure, PresenceText(host.presence()),
                        "look there whether berth-agent runs and reaches the server"});
    } else if (host.facts().problems().empty()) {
      checks.push_back({name, Verdict::kOk,
                        absl::StrCat("up, agent ", host.facts().agent_version(), ", Podman ",
                                     host.facts().driver_version()),
                        ""});
    }
  }
  return checks;
}

Check CheckPodman() {
  const absl::StatusOr<ProgramResult> result =
      RunProgram({"podman", "info", "--format",
                  "{{.Version.Version}}, {{.Host.OCIRuntime.Name}}, {{.Host.NetworkBackend}}"},
                 {});
  if (absl::IsNotFound(result.status())) {
    return {"podman", Verdict::kWarning, "not on this machine",
            "install podman where instances run or local images are deployed from"};
  }
  if (!result.ok()) return Failed("podman", result.status());
  const std::string output(absl::StripAsciiWhitespace(result->output));
  if (result->exit_code != 0) {
    return {"podman", Verdict::kFailure, output, "mend it until `podman info` works"};
  }
  return {"podman", Verdict::kOk, output, ""};
}

Check CheckStateFolder(const std::string& state) {
  constexpr char kName[] = "state folder";
  absl::StatusOr<std::string> folder = state;
  if (state.empty()) folder = DefaultStateFolder(ProcessEnvironment, geteuid() == 0);
  if (!folder.ok()) return Failed(kName, folder.status());
  struct stat facts = {};
  if (stat(folder->c_str(), &facts) != 0) {
    return {kName, Verdict::kOk, absl::StrCat("none: no Berth runs from ", *folder), ""};
  }
  if (facts.st_uid != geteuid()) {
    return {kName, Verdict::kFailure, absl::StrCat(*folder, " belongs to somebody else"),
            absl::StrFormat("chown %d %s", geteuid(), *folder)};
  }
  if ((facts.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return {kName, Verdict::kFailure, absl::StrCat(*folder, " is open to others"),
            absl::StrCat("chmod 700 ", *folder)};
  }
  return {kName, Verdict::kOk, *folder, ""};
}

// A check for each daemon that `berth up` ever ran on this machine.
std::vector<Check> CheckDaemons(const std::string& state) {
  absl::StatusOr<std::string> folder = state;
  if (state.empty()) folder = DefaultStateFolder(ProcessEnvironment, geteuid() == 0);
  std::vector<Check> checks;
  // What is wrong with the folder itself is told elsewhere.
  if (!folder.ok()) return checks;
  const LocalPlatform platform{*folder};
  const std::vector<std::pair<std::string, std::string>> daemons = {
      {"berth-server", platform.server_state()},
      {"berth-agent", platform.agent_state()},
      {"berth-edge", platform.edge_state()}};
  for (const auto& [name, daemon_state] : daemons) {
    const absl::Status ready = ReadinessOf(daemon_state);
    if (absl::IsNotFound(ready) || absl::IsPermissionDenied(ready)) continue;
    Check check{name, Verdict::kOk, "serves", ""};
    if (!ready.ok()) {
      check.verdict = Verdict::kFailure;
      check.found = std::string(ready.message());
      check.action = absl::IsUnavailable(ready) ? "`berth up` starts what does not run"
                                                : absl::StrCat("see the logs in ", *folder, "/log");
    }
    checks.push_back(std::move(check));
  }
  return checks;
}

absl::StatusOr<ExitCode> RunDoctor(const std::string& state, Session* session) {
  std::vector<Check> checks = {
      {"berth", Verdict::kOk, absl::StrCat("version ", BERTH_VERSION), ""}};
  checks.push_back(CheckContext(session));
  // Each is asked of what the one before found.
  if (checks.back().verdict == Verdict::kOk) checks.push_back(CheckServer(session));
  if (checks.back().name == "server" && checks.back().verdict == Verdict::kOk) {
    for (Check& check : CheckHosts(session)) checks.push_back(std::move(check));
  }
  for (Check& check : CheckDaemons(state)) checks.push_back(std::move(check));
  checks.push_back(CheckPodman());
  checks.push_back(CheckStateFolder(state));

  Json items = Json::array();
  std::string text;
  for (const Check& check : checks) {
    items.push_back({{"name", check.name},
                     {"verdict", Text(check.verdict)},
                     {"found", check.found},
                     {"action", check.action}});
    absl::StrAppend(&text, absl::StrFormat("%-4s  %s: %s\n", Text(check.verdict), check.name,
                                           Printable(check.found)));
    if (!check.action.empty()) absl::StrAppend(&text, "      next: ", check.action, "\n");
  }
  session->output().Object("Doctor", {{"checks", items}}, text);
  const bool failed = std::any_of(checks.begin(), checks.end(), [](const Check& check) {
    return check.verdict == Verdict::kFailure;
  });
  return failed ? ExitCode::kFailure : ExitCode::kSuccess;
}

}  // namespace

Command DoctorCommand() {
  const auto state = std::make_shared<std::string>();
  return {.name = "doctor",
          .summary = "Look for what keeps Berth from working, and say what to do",
          .example = "berth doctor",
          .declare =
              [state](Arguments* arguments) {
                arguments->Option("--state", state.get(), "FOLDER",
                                  "where `berth up` keeps everything; default: /var/lib/berth for "
                                  "root");
              },
          .run = [state](Session* session) { return RunDoctor(*state, session); }};
}

}  // namespace berth::cli
