#include "common/member/member.h"

#include <utility>

#include "common/daemon/daemon.h"
#include "common/files/atomic_file.h"
#include "common/rpc/membership.h"
#include "common/status/status_macros.h"

namespace berth {
namespace {

constexpr size_t kCaSizeMax = 16 << 10;

}  // namespace

absl::StatusOr<Member> Member::Join(const MemberSettings& settings,
                                    const std::vector<std::string>& addresses) {
  BERTH_RETURN_IF_ERROR(MakeFolder(settings.state));
  Member member;
  BERTH_ASSIGN_OR_RETURN(MachineIdentity identity,
                         MachineIdentity::LoadOrCreate(settings.state + "/identity"));
  member.identity_ = std::make_unique<MachineIdentity>(std::move(identity));
  rpc::JoinOptions join;
  join.folder = settings.state;
  join.auth_address = settings.server;
  if (!settings.ca_file.empty()) {
    BERTH_ASSIGN_OR_RETURN(join.ca_pem, ReadFile(settings.ca_file, kCaSizeMax));
  }
  join.join_token_file = settings.join_token_file;
  join.addresses = addresses;
  BERTH_ASSIGN_OR_RETURN(member.membership_, rpc::LoadOrJoinPatiently(*member.identity_, join,
                                                                      [](absl::Duration delay) {
                                                                        return WaitForStop(delay);
                                                                      }));
  rpc::ServicesChannel::Options services;
  BERTH_ASSIGN_OR_RETURN(services.auth,
                         rpc::MachineChannel(*member.identity_, member.machine().name(),
                                             settings.server, member.membership_.ca_certificate()));
  services.addresses = settings.services;
  services.file = settings.state + "/services";
  member.services_ = rpc::ServicesChannel::Open(services);
  return member;
}

}  // namespace berth
