#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "berth/auth/v1/auth.pb.h"
#include "cli/commands/commands.h"
#include "cli/errors.h"
#include "cli/session.h"
#include "cli/sign_in.h"
#include "common/files/atomic_file.h"
#include "common/rpc/shown_ca.h"
#include "common/rpc/token.h"

namespace berth::cli {
namespace {

constexpr size_t kTokenBytesMax = 4096;
constexpr char kContextDefault[] = "local";

struct LoginOptions {
  std::string server;
  std::string ca_file;
  std::string token;
  std::string token_file;
};

absl::StatusOr<std::string> ReadToken(const std::string& file) {
  if (file != "-") return ReadFile(file, kTokenBytesMax);
  std::string token;
  // One more than allowed tells a token from something else.
  for (int c = std::cin.get(); c >= 0 && token.size() <= kTokenBytesMax; c = std::cin.get()) {
    token.push_back(static_cast<char>(c));
  }
  if (token.size() > kTokenBytesMax) return UsageError("standard input is not a token");
  return token;
}

// What the command line leaves out stands in the context that is signed in to again. Whom to trust
// is there, or in the login token.
absl::StatusOr<Context> ContextFor(const LoginOptions& options, const std::string& name,
                                   const Config& config, const std::string& org,
                                   absl::string_view token) {
  Context context;
  if (const auto known = config.contexts.find(name); known != config.contexts.end()) {
    context = known->second;
  }
  if (!options.server.empty() && options.server != context.server) {
    context = Context{.server = options.server, .ca_file = "", .ca_pem = "", .org = ""};
  }
  if (!options.ca_file.empty()) {
    context.ca_file = std::filesystem::absolute(options.ca_file).string();
    context.ca_pem.clear();
  }
  if (!org.empty()) context.org = org;
  if (context.server.empty()) return UsageError("which server? say so with --server");
  if (context.ca_file.empty() && context.ca_pem.empty()) {
    if (const auto parts = rpc::ParseOneTimeToken(rpc::kLoginPurpose, token)) {
      BERTH_ASSIGN_OR_RETURN(context.ca_pem, rpc::ShownCa(context.server, parts->ca_fingerprint));
      return context;
    }
    return WithAction(UsageError("whom to trust? say so with --ca-file"),
                      "copy the server's file ca.pem to this machine");
  }
  return context;
}

// What proves who signs in. The bootstrap token is beside the CA: a server keeps both in one
// folder.
absl::StatusOr<std::string> TokenFor(const LoginOptions& options, const Config& config,
                                     const std::string& name) {
  if (!options.token.empty()) return options.token;
  std::string file = options.token_file;
  if (file.empty()) {
    std::string ca_file = options.ca_file;
    if (const auto known = config.contexts.find(name);
        ca_file.empty() && known != config.contexts.end()) {
      ca_file = known->second.ca_file;
    }
    if (ca_file.empty()) return UsageError("which token? say so with --token or --token-file");
    file = (std::filesystem::path(ca_file).parent_path() / "bootstrap-token").string();
  }
  absl::StatusOr<std::string> token = ReadToken(file);
  if (!token.ok()) {
    return WithAction(token.status(),
                      "name the file bootstrap-token of the server's folder with --token-file");
  }
  return std::string(absl::StripAsciiWhitespace(*token));
}

absl::StatusOr<ExitCode> RunLogin(const LoginOptions& options, Session* session) {
  const TargetFlags& flags = session->line().global().target;
  BERTH_ASSIGN_OR_RETURN(PersonalFiles files, LoadPersonalFiles(ProcessEnvironment));
  std::string name = flags.context;
  if (name.empty()) name = files.config.current;
  if (name.empty()) name = kContextDefault;
  BERTH_ASSIGN_OR_RETURN(const std::string token, TokenFor(options, files.config, name));
  BERTH_ASSIGN_OR_RETURN(Context context,
                         ContextFor(options, name, files.config, flags.org, token));
  std::string ca_pem = context.ca_pem;
  if (!context.ca_file.empty()) {
    BERTH_ASSIGN_OR_RETURN(ca_pem, ReadCa(context.ca_file));
  }
  const absl::StatusOr<SignedIn> signed_in = SignIn(context.server, ca_pem, token);
  if (absl::IsPermissionDenied(signed_in.status())) {
    return WithAction(signed_in.status(),
                      "ask an admin of your org for a login token, or where the server runs, name "
                      "its file bootstrap-token with --token-file");
  }
  if (!signed_in.ok()) return signed_in.status();
  if (context.org.empty()) {
    BERTH_ASSIGN_OR_RETURN(context.org, FirstOrgOf(context.server, ca_pem, signed_in->token));
  }
  files.config.contexts[name] = context;
  files.config.current = name;
  files.credentials[name] = signed_in->token;
  BERTH_RETURN_IF_ERROR(SavePersonalFiles(ProcessEnvironment, files));
  session->output().Object(
      "Login", {{"principal", signed_in->principal}, {"context", name}, {"server", context.server}},
      absl::StrCat("You are ", signed_in->principal, " on ", context.server, " in the context ",
                   name, ".\n"));
  return ExitCode::kSuccess;
}

}  // namespace

Command LoginCommand() {
  const auto options = std::make_shared<LoginOptions>();
  return {.name = "login",
          .summary = "Sign in to a server with a login token, or its bootstrap token",
          .example = "berth login --server berth.example.com:7443 --token-file -",
          .declare =
              [options](Arguments* arguments) {
                arguments->Option(
                    "--server", &options->server, "HOST:PORT",
                    "the server, or its copies with commas between them; default: that of "
                    "the context");
                arguments->Option("--ca-file", &options->ca_file, "FILE",
                                  "the server's ca.pem; default: that of the context, or the one "
                                  "that a login token names");
                arguments->Option("--token", &options->token, "TOKEN",
                                  "the login token, which is dead afterwards");
                arguments->Option("--token-file", &options->token_file, "FILE",
                                  "a file with the token, - for standard input; default: "
                                  "bootstrap-token beside ca.pem");
              },
          .run = [options](Session* session) { return RunLogin(*options, session); }};
}

}  // namespace berth::cli
