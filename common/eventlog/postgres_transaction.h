#pragma once

#include <pqxx/pqxx>
#include <string>

#include "absl/strings/string_view.h"
#include "common/crypto/hash.h"

namespace berth {

// An open transaction of a PostgresDatabase, for the files that speak SQL. libpqxx throws out of
// it, and PostgresDatabase::Transact catches.
//
// Bytes travel as hex text through SQL's encode and decode, because libpqxx's types for binary
// values differ from version to version.
class PostgresTransaction {
 public:
  explicit PostgresTransaction(pqxx::work& work) : work_(work) {}

  // Runs one statement with its parameters $1, $2, …: strings and int64_t.
  template <typename... Values>
  pqxx::result Run(const std::string& sql, const Values&... values) {
#if PQXX_VERSION_MAJOR > 7 || (PQXX_VERSION_MAJOR == 7 && PQXX_VERSION_MINOR >= 10)
    return work_.exec(sql, pqxx::params{values...});
#else
    return work_.exec_params(sql, values...);
#endif
  }

 private:
  pqxx::work& work_;
};

inline std::string HexOf(absl::string_view bytes) { return HexEncode(bytes); }

// The bytes of a column that is encode(…, 'hex').
template <typename Field>
std::string BytesOf(const Field& field) {
  return HexDecode(field.c_str()).value();
}

}  // namespace berth
