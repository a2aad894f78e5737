#pragma once

#include "berth/config/v1/manifest.pb.h"
#include "common/yaml/value.h"

namespace berth {

// Reads one of a manifest's processes and fills in its defaults. After findings `process` holds
// what could be read; its ports are all there whose names could be, so that what refers to them is
// not refused for that.
void ParseProcess(const yaml::Value& value, config::v1::Process* process);

// Adds a finding where the process has no such port, with the nearest that it has.
bool CheckPortName(const yaml::Value& value, const config::v1::Process& process,
                   const std::string& port);

}  // namespace berth
