#include "cli/image_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/manifest/image_reference.h"

namespace berth::cli {
namespace {

constexpr char kDefaultRegistry[] = "docker.io";
constexpr char kDefaultTag[] = "latest";
constexpr size_t kDigestDigits = 64;

// As all container tools tell a registry from the first part of a path.
bool IsRegistry(absl::string_view first) {
  return first == "localhost" || absl::StrContains(first, '.') || absl::StrContains(first, ':');
}

}  // namespace

std::string ImageName::WithDigest(absl::string_view digest_found) const {
  return absl::StrCat(registry, "/", repository, "@", digest_found);
}

absl::StatusOr<ImageName> ParseImageName(absl::string_view reference) {
  if (!IsImageReference(reference)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", reference, "\" is not an image such as registry.example.com/notes:1.8"));
  }
  ImageName image;
  if (const size_t at = reference.find('@'); at != absl::string_view::npos) {
    image.digest = std::string(reference.substr(at + 1));
    reference = reference.substr(0, at);
  }
  const size_t slash = reference.find('/');
  if (slash != absl::string_view::npos && IsRegistry(reference.substr(0, slash))) {
    image.registry = std::string(reference.substr(0, slash));
    reference.remove_prefix(slash + 1);
  } else {
    image.registry = kDefaultRegistry;
  }
  if (const size_t colon = reference.rfind(':'); colon != absl::string_view::npos) {
    image.tag = std::string(reference.substr(colon + 1));
    reference = reference.substr(0, colon);
  }
  if (image.tag.empty() && image.digest.empty()) image.tag = kDefaultTag;
  image.repository = std::string(reference);
  if (image.registry == kDefaultRegistry && !absl::StrContains(reference, '/')) {
    image.repository = absl::StrCat("library/", reference);
  }
  return image;
}

bool IsDigest(absl::string_view text) {
  return absl::ConsumePrefix(&text, "sha256:") && text.size() == kDigestDigits &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
         });
}

}  // namespace berth::cli
