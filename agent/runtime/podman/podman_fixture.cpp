#include "agent/runtime/podman/podman_fixture.h"

#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "agent/runtime/podman/podman_driver.h"
#include "agent/runtime/program.h"
#include "common/libpod/json_fields.h"
#include "common/libpod/libpod_client.h"

namespace berth::testing {
namespace {

// What this kind of machine needs: no crun on hybrid cgroups, no limits above the hard ones.
constexpr char kContainersConf[] = R"([containers]
default_ulimits=["nofile=4096:4096","nproc=4096:4096"]
[engine]
runtime="runc"
events_logger="file"
[network]
network_backend="netavark"
network_config_dir="%s/networks"
)";

void MustRun(const std::vector<std::string>& arguments) {
  const absl::StatusOr<ProgramResult> result = RunProgram(arguments, {});
  if (result.ok() && result->exit_code == 0) return;
  throw std::runtime_error(
      absl::StrCat(arguments[0], ": ",
                   result.ok() ? absl::string_view(result->output) : result.status().message()));
}

}  // namespace

PodmanFixture& PodmanFixture::Shared() {
  static PodmanFixture shared;
  return shared;
}

PodmanFixture::PodmanFixture() {
  settings_.socket_path = folder_.File("podman.sock");
  settings_.state_folder = folder_.path();
  settings_.containers_conf = folder_.File("containers.conf");
  settings_.arguments = {"--root",   folder_.File("root"), "--runroot", folder_.File("run"),
                         "--tmpdir", folder_.File("tmp")};
  std::string conf = kContainersConf;
  conf.replace(conf.find("%s"), 2, folder_.path());
  std::ofstream(settings_.containers_conf) << conf;
  MakeImage();
}

void PodmanFixture::MakeImage() {
  namespace fs = std::filesystem;
  const fs::path root = folder_.File("image");
  fs::create_directories(root / "bin");
  fs::create_directories(root / "tmp");
  fs::copy_file("/bin/busybox", root / "bin/busybox");
  for (const char* applet : {"sh", "echo", "cat", "sleep", "true", "false", "dd", "grep", "httpd",
                             "id", "wget", "stty"}) {
    fs::create_symlink("busybox", root / "bin" / applet);
  }
  const std::string archive = folder_.File("image.tar");
  MustRun({"tar", "-C", root.string(), "-cf", archive, "."});
  PodmanService service(settings_);
  if (const absl::Status status = service.EnsureRunning(); !status.ok()) {
    throw std::runtime_error(status.ToString());
  }
  MustRun({settings_.program, "--url", "unix://" + settings_.socket_path, "import", archive,
           "localhost/busybox:1"});
  LibpodClient client(settings_.socket_path);
  const auto images = client.Call({.path = "/images/json"});
  if (!images.ok()) throw std::runtime_error(images.status().ToString());
  image_ = absl::StrCat("localhost/busybox@", StringOf(images->at(0), "Digest"));
}

PodmanFixture::~PodmanFixture() {
  LibpodClient client(settings_.socket_path);
  const auto containers = client.Call({.path = "/containers/json?all=true"});
  if (containers.ok()) {
    for (const nlohmann::json& container : *containers) {
      (void)client.Call({.method = "DELETE",
                         .path = absl::StrCat("/containers/", StringOf(container, "Id"),
                                              "?force=true&timeout=0")});
    }
  }
  (void)PodmanService(settings_).Stop();
  // Podman leaves its storage mounted onto itself.
  umount2(folder_.File("root/overlay").c_str(), MNT_DETACH);
}

}  // namespace berth::testing
