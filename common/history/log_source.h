#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/eventlog/event_log.h"
#include "common/eventlog/log_writer.h"
#include "common/rpc/dispatcher.h"

namespace berth {

// One of a process's services, as its past is read. Its writer and dispatcher outlive the reading,
// and Start of the writer comes later.
struct LogSource {
  std::string stream;
  LogWriter* writer;
  rpc::Dispatcher* dispatcher;
  // Opens a reader beside the writer.
  std::function<absl::StatusOr<std::unique_ptr<LogReader>>()> open;
};

}  // namespace berth
