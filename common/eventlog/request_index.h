#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "berth/eventlog/v1/record.pb.h"
#include "berth/eventlog/v1/snapshot.pb.h"

namespace berth {

// Where the records of keyed requests are, so that a repeat is known as one: for a day at least,
// whatever else happens, and in bounded memory. Once the bound is reached within a day, nothing is
// forgotten; the caller refuses new keyed requests instead.
//
// Keeps 8 bytes of a keyed hash for a request, so nobody can choose requests that look alike. Two
// that do by chance are told apart by their records, and only the newer one is found then.
class RequestIndex {
 public:
  static constexpr absl::Duration kKept = absl::Hours(24);

  // `hash_key` keys the hashes; an index is loaded under the key it was saved under.
  RequestIndex(size_t requests_max, std::string hash_key)
      : requests_max_(requests_max), hash_key_(std::move(hash_key)) {}

  // The position of what may be the request's record.
  std::optional<uint64_t> Find(const std::string& principal, const std::string& method,
                               const std::string& request_id) const;

  // nullopt: one more may be remembered. Otherwise how long it takes until one may.
  std::optional<absl::Duration> FullFor(absl::Time now) const;

  // Remembers the record's request where it has a key, and forgets what is older than a day then.
  void Remember(const eventlog::v1::Record& record);

  size_t size() const { return by_age_.size(); }

  eventlog::v1::RequestIndex Save() const;
  // False: the lists do not belong together. The index is then empty.
  bool Load(const eventlog::v1::RequestIndex& saved);

 private:
  struct Entry {
    uint64_t key = 0;
    uint64_t position = 0;
    int64_t second = 0;  // Since 1970, when its record was decided.
  };

  uint64_t KeyOf(const std::string& principal, const std::string& method,
                 const std::string& request_id) const;
  static bool IsOld(const Entry& entry, int64_t second_now);
  void Add(const Entry& entry);
  void ForgetOldest();

  const size_t requests_max_;
  const std::string hash_key_;
  std::deque<Entry> by_age_;
  absl::flat_hash_map<uint64_t, uint64_t> positions_;  // By key.
};

}  // namespace berth
