#include "cli/archive_program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/net/unique_fd.h"
#include "common/status/status_macros.h"

namespace berth::cli {
namespace {

constexpr char kProgram[] = "berth-archive";
// What it prints is one line for each service at most.
constexpr size_t kOutputBytesMax = size_t{1} << 20;

absl::Status CannotRun(absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat(kProgram, " cannot be run: ", why, "; it belongs beside the program berth"));
}

// What the program writes until it ends.
absl::StatusOr<std::string> OutputOf(const std::vector<std::string>& arguments) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return CannotRun(std::strerror(errno));
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, writing.get(), STDOUT_FILENO);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return CannotRun(std::strerror(error));
  writing.Reset();
  std::string output;
  char buffer[4096];
  ssize_t got = 0;
  while (output.size() < kOutputBytesMax &&
         ((got = read(reading.get(), buffer, sizeof(buffer))) > 0 || (got < 0 && errno == EINTR))) {
    if (got > 0) output.append(buffer, static_cast<size_t>(got));
  }
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return output;
}

}  // namespace

absl::StatusOr<Json> RunArchiveProgram(const std::vector<std::string>& words) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return CannotRun(error.message());
  std::vector<std::string> arguments = {(self.parent_path() / kProgram).string()};
  arguments.insert(arguments.end(), words.begin(), words.end());
  BERTH_ASSIGN_OR_RETURN(const std::string output, OutputOf(arguments));
  Json document = Json::parse(output, nullptr, false);
  if (!document.is_object()) return absl::InternalError("berth-archive ended without a result");
  if (document.contains("code")) {
    return absl::Status(static_cast<absl::StatusCode>(document.value("code", 2)),
                        document.value("message", ""));
  }
  return document;
}

}  // namespace berth::cli
