#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Leaves the function with the error when `expression` is one.
#define BERTH_RETURN_IF_ERROR(expression)                                                  \
  do {                                                                                     \
    if (absl::Status berth_status = (expression); !berth_status.ok()) return berth_status; \
  } while (false)

// Declares or assigns `target` from a StatusOr, or leaves the function with its error.
#define BERTH_ASSIGN_OR_RETURN(target, expression) \
  BERTH_ASSIGN_OR_RETURN_LINE(target, expression, __LINE__)
#define BERTH_ASSIGN_OR_RETURN_LINE(target, expression, line) \
  BERTH_ASSIGN_OR_RETURN_NAMED(target, expression, line)
#define BERTH_ASSIGN_OR_RETURN_NAMED(target, expression, line)                   \
  auto berth_result_##line = (expression);                                       \
  if (!berth_result_##line.ok()) return std::move(berth_result_##line).status(); \
  target = *std::move(berth_result_##line)
