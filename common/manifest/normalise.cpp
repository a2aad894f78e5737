#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "common/check/check.h"
#include "common/crypto/hash.h"
#include "common/manifest/manifest.h"

namespace berth {

std::string Normalise(const config::v1::Manifest& manifest) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  // Fields in the order of their numbers, maps in the order of their keys.
  coded.SetSerializationDeterministic(true);
  BERTH_CHECK(manifest.SerializeToCodedStream(&coded));
  coded.Trim();
  return bytes;
}

std::string ManifestDigest(const config::v1::Manifest& manifest) {
  return HexEncode(Blake2b256({Normalise(manifest)}));
}

}  // namespace berth
