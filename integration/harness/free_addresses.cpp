#include "integration/harness/free_addresses.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <stdexcept>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/net/unique_fd.h"

namespace berth::integration {

std::vector<std::string> FreeAddresses(size_t count) {
  std::vector<UniqueFd> held;
  std::vector<std::string> addresses;
  for (size_t i = 0; i < count; ++i) {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("no port of the loopback is free");
    }
    addresses.push_back(absl::StrCat("127.0.0.1:", ntohs(address.sin_port)));
    held.push_back(std::move(fd));
  }
  return addresses;
}

}  // namespace berth::integration
