#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/crypto/signature.h"
#include "services/scheduler/state.h"

namespace berth::scheduler {

// A replica that keeps failing is started anew after this long, doubled each time.
inline constexpr absl::Duration kRestartDelayMin = absl::Seconds(1);
inline constexpr absl::Duration kRestartDelayMax = absl::Minutes(1);
// A rollout without a deadline in its manifest.
inline constexpr absl::Duration kRolloutDeadline = absl::Minutes(5);

// How long the connections to a replica that gets no new ones may go on.
inline constexpr absl::Duration kDrainDeadline = absl::Seconds(30);

// What should change in an environment now, as events: the next round of bringing what is to what
// is wanted. Empty: nothing, until something is observed or NextWake has come. Pure; run it again
// after its events are applied, until it is empty.
//
// A rollout replaces start-first: a new replica is placed while the old ones serve, an old one
// drains once a new one is ready, and stops when nothing is sent to it any more. It fails when a
// new replica fails, when none can be placed, or at its deadline; then config returns the
// environment to the release that was current, and that is a rollout as any other.
//
// Another active version of a secret that the release names is a rollout of the same release, and
// replaces the instances of the process types that name it; it begins once config knows how the
// promotion before it went. One that fails goes back by itself: the instances of the versions
// before serve on, and are what is placed from then on, until a version is activated again or a
// release promoted. Where a secret is not set, nothing of the process types that name it is placed,
// and what runs, runs on.
//
// `grant_key` signs what hosts get secrets for; nullptr: it is not known yet, and nothing with
// secrets is placed before it is.
std::vector<v1::Event> Reconcile(const State& state, const std::string& environment,
                                 const SigningKey* grant_key, const DecisionContext& context);

// Whether the instance runs what is wanted, apart from how many there are, and was placed after the
// newest restart of its process type.
bool IsCurrent(const Environment& environment, const Instance& instance);

// When a replica counts as healthy: ready for as long as its manifest asks; nullopt: it is not
// ready.
std::optional<absl::Time> HealthyTime(const Instance& instance);

// When, after `reconciled`, Reconcile may have something to do although nothing happens.
absl::Time NextWake(const Environment& environment, absl::Time reconciled);

}  // namespace berth::scheduler
