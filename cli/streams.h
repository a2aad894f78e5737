#pragma once

namespace berth::cli {

// The services, each with a log: what records are named by.
inline constexpr const char* kStreams[] = {"auth", "config", "scheduler", "edge-router", "secrets"};

}  // namespace berth::cli
