#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::cli {

// What signing in gave.
struct SignedIn {
  std::string principal;  // user/NAME.
  std::string token;      // What calls carry from now on.
};

// Trades a login token or the bootstrap token for a bearer token.
absl::StatusOr<SignedIn> SignIn(const std::string& server, const std::string& ca_pem,
                                absl::string_view token);

// The org that the token's person has a role in, or the first of several; empty: none.
absl::StatusOr<std::string> FirstOrgOf(const std::string& server, const std::string& ca_pem,
                                       const std::string& token);

// Who the token speaks for. kUnauthenticated: nobody, or there is none.
absl::StatusOr<std::string> PrincipalOf(const std::string& server, const std::string& ca_pem,
                                        const std::string& token);

// The platform CA from a file.
absl::StatusOr<std::string> ReadCa(const std::string& path);

}  // namespace berth::cli
