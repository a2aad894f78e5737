#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "berth/types/v1/types.pb.h"
#include "integration/simulation/history.h"
#include "integration/simulation/journal.h"

namespace berth::simulation {

// The values of secrets in a world, as those know them who put them, and what everybody else was
// given for them.
class SecretValues {
 public:
  // A value that nobody has put yet, and the same sealed to `sealing_key`, as it is going to be
  // put.
  std::string SealNext(const std::string& sealing_key);
  // One that was put before, sealed anew; a new one where none was.
  std::string SealAgain(const std::string& sealing_key);

  // Somebody was given `value` for that version.
  void Given(const types::v1::EnvironmentName& environment, const std::string& name,
             uint64_t version, absl::string_view value);

  uint64_t given() const { return given_.size(); }

  // Whether each was given what had been put as that version, by the records of berth-secrets.
  absl::Status Check(const std::vector<Journal::Entry>& records,
                     const std::vector<Operation>& operations) const;

 private:
  struct GivenValue {
    std::string version;  // ORG/APP/ENV/NAME and its number.
    std::string value;
  };

  std::string Seal(const std::string& sealing_key, const std::string& value);

  uint64_t made_ = 0;
  std::string newest_;
  std::map<std::string, std::string> sealed_;  // From what was sent to the value in it.
  std::vector<GivenValue> given_;
};

}  // namespace berth::simulation
