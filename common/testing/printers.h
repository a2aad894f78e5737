#pragma once

// How Catch2 prints what Berth's tests compare.

#include <catch2/catch.hpp>
#include <google/protobuf/message.h>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace Catch {

template <>
struct StringMaker<absl::Status> {
  static std::string convert(const absl::Status& status) { return status.ToString(); }
};

template <>
struct StringMaker<absl::Duration> {
  static std::string convert(absl::Duration duration) { return absl::FormatDuration(duration); }
};

template <typename T>
struct StringMaker<T, std::enable_if_t<std::is_base_of_v<google::protobuf::Message, T>>> {
  static std::string convert(const T& message) { return "{ " + message.ShortDebugString() + " }"; }
};

}  // namespace Catch
