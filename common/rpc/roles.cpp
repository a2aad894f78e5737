#include "common/rpc/roles.h"

namespace berth::rpc {

bool RoleHas(auth::v1::Role role, options::v1::Permission permission) {
  switch (permission) {
    case options::v1::PERMISSION_READ:
      return role >= auth::v1::ROLE_VIEWER;
    case options::v1::PERMISSION_DEPLOY:
    case options::v1::PERMISSION_SCALE:
    case options::v1::PERMISSION_LOGS:
    case options::v1::PERMISSION_EXEC:
    case options::v1::PERMISSION_ROUTE_WRITE:
    case options::v1::PERMISSION_SECRET_WRITE:
      return role >= auth::v1::ROLE_DEVELOPER;
    case options::v1::PERMISSION_SECRET_READ:
    case options::v1::PERMISSION_ADMIN:
      return role >= auth::v1::ROLE_ADMIN;
    default:
      // The others are not a role's to give: anyone's, the platform's, or a machine's.
      return false;
  }
}

}  // namespace berth::rpc
