#include "services/edge_router/state.h"

namespace berth::edge_router {

// Every member is named where it is saved: one that is added stops the build there.

v1::StateSnapshot State::Save() const {
  v1::StateSnapshot saved;
  const auto& [all_claims, owners, endpoints, cursors] = *this;
  for (const auto& [key, claims] : all_claims) {
    const auto& [name, promotion, routes, refused, targets] = claims;
    v1::SavedClaims& saved_claims = *saved.add_claims();
    saved_claims.set_key(key);
    *saved_claims.mutable_name() = name;
    saved_claims.set_promotion(promotion);
    for (const auto& [route_name, claimed] : routes) {
      const auto& [route, record, standing] = claimed;
      v1::SavedRoute& saved_route = *saved_claims.add_routes();
      saved_route.set_name(route_name);
      *saved_route.mutable_route() = route;
      *saved_route.mutable_record() = record;
      saved_route.set_standing(standing);
    }
    for (const auto& [route_name, reason] : refused) {
      v1::SavedRefusal& saved_refusal = *saved_claims.add_refused();
      saved_refusal.set_name(route_name);
      saved_refusal.set_reason(reason);
    }
    for (const config::v1::RouteTarget& target : targets) *saved_claims.add_targets() = target;
  }
  for (const auto& [instance, endpoint] : endpoints) {
    v1::SavedEndpoint& saved_endpoint = *saved.add_endpoints();
    saved_endpoint.set_instance(instance);
    *saved_endpoint.mutable_endpoint() = endpoint;
  }
  for (const auto& [source, revision] : cursors) {
    v1::SavedCursor& saved_cursor = *saved.add_cursors();
    saved_cursor.set_source(source);
    *saved_cursor.mutable_revision() = revision;
  }
  return saved;
}

void State::Load(const v1::StateSnapshot& saved) {
  *this = State();
  for (const v1::SavedClaims& saved_claims : saved.claims()) {
    Claims& claims = claims_[saved_claims.key()];
    claims.name = saved_claims.name();
    claims.promotion = saved_claims.promotion();
    for (const v1::SavedRoute& route : saved_claims.routes()) {
      claims.routes[route.name()] = {route.route(), route.record(), route.standing()};
      owners_[ListenKey(route.route())] = saved_claims.key();
    }
    for (const v1::SavedRefusal& refusal : saved_claims.refused()) {
      claims.refused[refusal.name()] = refusal.reason();
    }
    claims.targets = {saved_claims.targets().begin(), saved_claims.targets().end()};
  }
  for (const v1::SavedEndpoint& endpoint : saved.endpoints()) {
    endpoints_[endpoint.instance()] = endpoint.endpoint();
  }
  for (const v1::SavedCursor& cursor : saved.cursors()) {
    cursors_[cursor.source()] = cursor.revision();
  }
}

}  // namespace berth::edge_router
