#include "agent/secrets/bundle_store.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/files/atomic_file.h"
#include "common/secrets/bundle.h"
#include "common/status/status_macros.h"

namespace berth::agent {
namespace {

constexpr mode_t kOwnerOnly = 0600;
// The values, and names and sizes of at most a hundred of them.
constexpr size_t kFileSizeMax = kBundleValuesMax + (64 << 10);

absl::Status FileError(const std::string& path, const std::error_code& error) {
  return absl::UnavailableError(absl::StrCat(path, ": ", error.message()));
}

}  // namespace

std::string BundleStore::PathOf(const std::string& instance) const {
  return absl::StrCat(folder_, "/", instance);
}

absl::StatusOr<secrets::v1::GetBundleResponse> BundleStore::Load(
    const std::string& instance) const {
  BERTH_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(PathOf(instance), kFileSizeMax));
  secrets::v1::GetBundleResponse sealed;
  if (!sealed.ParseFromString(bytes)) {
    return absl::NotFoundError(absl::StrCat(PathOf(instance), " is no bundle"));
  }
  return sealed;
}

absl::Status BundleStore::Store(const std::string& instance,
                                const secrets::v1::GetBundleResponse& sealed) {
  std::error_code error;
  if (std::filesystem::create_directories(folder_, error)) {
    std::filesystem::permissions(folder_, std::filesystem::perms::owner_all, error);
  }
  if (error) return FileError(folder_, error);
  return WriteFileAtomically(PathOf(instance), sealed.SerializeAsString(), kOwnerOnly);
}

absl::Status BundleStore::Remove(const std::string& instance) {
  std::error_code error;
  std::filesystem::remove(PathOf(instance), error);
  return error ? FileError(PathOf(instance), error) : absl::OkStatus();
}

absl::Status BundleStore::KeepOnly(const std::set<std::string>& instances) {
  std::error_code error;
  if (!std::filesystem::exists(folder_, error)) return absl::OkStatus();
  std::set<std::filesystem::path> others;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    if (!instances.contains(entry.path().filename().string())) others.insert(entry.path());
  }
  for (const std::filesystem::path& other : others) std::filesystem::remove(other, error);
  return error ? FileError(folder_, error) : absl::OkStatus();
}

}  // namespace berth::agent
