#pragma once

#include <string>

#include "agent/runtime/podman/podman_service.h"
#include "common/testing/temp_dir.h"

namespace berth::testing {

// A Podman of its own for tests that run real containers as root: storage, networks, service and
// events are in a folder that is gone with the object, so nothing of the machine's own Podman is
// touched. Its one image holds a static busybox.
class PodmanFixture {
 public:
  PodmanFixture();
  ~PodmanFixture();
  PodmanFixture(const PodmanFixture&) = delete;
  PodmanFixture& operator=(const PodmanFixture&) = delete;

  // One for the whole test binary: a service takes half a second to come up.
  static PodmanFixture& Shared();

  const PodmanServiceSettings& settings() const { return settings_; }

  // `localhost/busybox@sha256:…`
  const std::string& image() const { return image_; }

 private:
  void MakeImage();

  TempDir folder_;
  PodmanServiceSettings settings_;
  std::string image_;
};

}  // namespace berth::testing
