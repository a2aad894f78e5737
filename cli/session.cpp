#include "cli/session.h"

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/connect.h"
#include "cli/errors.h"
#include "cli/foreground.h"
#include "cli/sign_in.h"
#include "common/ids/names.h"
#include "common/ids/random_id_source.h"
#include "common/status/error_details.h"

namespace berth::cli {
namespace {

constexpr char kProjectManifest[] = "berth.yaml";

}  // namespace

absl::StatusOr<const Target*> Session::target() {
  if (target_ == nullptr) {
    BERTH_ASSIGN_OR_RETURN(const PersonalFiles files, LoadPersonalFiles(ProcessEnvironment));
    BERTH_ASSIGN_OR_RETURN(const Project project, ReadProject(kProjectManifest));
    BERTH_ASSIGN_OR_RETURN(Target target, ResolveTarget(line_->global().target, ProcessEnvironment,
                                                        project, files.config, files.credentials));
    target_ = std::make_unique<Target>(std::move(target));
  }
  return target_.get();
}

absl::StatusOr<std::shared_ptr<rpc::Channel>> Session::channel() {
  if (channel_ == nullptr) {
    BERTH_ASSIGN_OR_RETURN(const Target* const to, target());
    std::string ca_pem = to->ca_pem;
    if (!to->ca_file.empty()) {
      const absl::StatusOr<std::string> pem = ReadCa(to->ca_file);
      if (!pem.ok()) {
        return WithAction(absl::FailedPreconditionError(absl::StrCat(
                              "the server's CA cannot be read: ", pem.status().message())),
                          "sign in again with `berth login`, or start Berth with `berth up`");
      }
      ca_pem = *pem;
    }
    channel_ = Connect(to->server, ca_pem, to->token);
  }
  return channel_;
}

absl::StatusOr<std::string> Session::Org() {
  BERTH_ASSIGN_OR_RETURN(const Target* const to, target());
  if (to->org.empty()) return UsageError("which org? say so with --org");
  return to->org;
}

absl::StatusOr<types::v1::EnvironmentName> Session::Environment(const std::string& reference) {
  BERTH_ASSIGN_OR_RETURN(const Target* const to, target());
  types::v1::EnvironmentName name;
  BERTH_ASSIGN_OR_RETURN(*name.mutable_org(), Org());
  name.set_app(to->app);
  name.set_env(to->env);
  if (!reference.empty()) {
    const std::vector<std::string> parts = absl::StrSplit(reference, absl::MaxSplits('/', 1));
    name.set_app(parts[0]);
    if (parts.size() == 2) name.set_env(parts[1]);
  }
  if (name.app().empty()) {
    return UsageError("which app? say so with --app, or run this in a folder with a berth.yaml");
  }
  for (const auto& [what, text] :
       {std::pair("the org", name.org()), std::pair("the app", name.app()),
        std::pair("the environment", name.env())}) {
    if (const absl::Status status = CheckName(what, text); !status.ok()) {
      return UsageError(std::string(status.message()));
    }
  }
  return name;
}

absl::Status Session::Pause(absl::Duration duration) {
  if (Foreground().Run(duration) == Foreground::Outcome::kInterrupted) {
    return absl::CancelledError("interrupted");
  }
  return absl::OkStatus();
}

rpc::CallOptions Session::CallOptions() {
  return {.request_id = absl::BytesToHexString(RandomIdSource().NewNonce())};
}

bool Session::MayTryAgain(const absl::Status& status) {
  const std::string reason = ReasonOf(status);
  return absl::IsUnavailable(status) &&
         (reason == reason::kNotReady || reason == reason::kQueueFull);
}

absl::Status Session::Explain(const absl::Status& status) const {
  // What the server said itself has a reason; what gRPC says of a connection has none.
  if (!absl::IsUnavailable(status) || !ReasonOf(status).empty()) return status;
  return absl::UnavailableError(
      absl::StrCat("cannot reach the server ", target_->server, ": ", status.message()));
}

}  // namespace berth::cli
