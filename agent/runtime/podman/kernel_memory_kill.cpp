#include "agent/runtime/podman/kernel_memory_kill.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/net/unique_fd.h"

namespace berth {
namespace {

// More than the largest buffer a distribution sets up holds.
constexpr int kMessagesMax = 200'000;

}  // namespace

bool IsMemoryKillOf(absl::string_view message, absl::string_view container_id) {
  return absl::StrContains(message, "oom-kill:constraint=CONSTRAINT_MEMCG") &&
         absl::StrContains(message, absl::StrCat("libpod-", container_id));
}

bool KernelKilledForMemory(absl::string_view container_id) {
  const UniqueFd messages(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!messages.valid()) return false;  // Needs root.
  std::array<char, 8192> message;
  for (int i = 0; i < kMessagesMax; ++i) {
    const ssize_t count = read(messages.get(), message.data(), message.size());
    if (count < 0) {
      if (errno == EPIPE || errno == EINTR) continue;  // The oldest message was overwritten.
      return false;                                    // EAGAIN: that was all.
    }
    if (IsMemoryKillOf({message.data(), static_cast<size_t>(count)}, container_id)) return true;
  }
  return false;
}

}  // namespace berth
