#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace berth::integration {

// What is in a process's memory, for a search: all of it, also what the process keeps out of core
// dumps. A debugger that is root may do what nobody else may. Throws where gdb is missing or fails.

// Writes the core of a running process, which goes on.
void DumpCore(pid_t pid, const std::string& file);

// When a program's core is written, as gdb says it.
inline constexpr char kAtExit[] = "catch syscall exit_group";
inline constexpr char kWhileSealing[] = "tbreak crypto_box_seal";

// Runs a program to its end, and writes its core at that moment. Throws where it does not exit with
// 0.
void RunDumpingCore(const std::vector<std::string>& arguments, const std::string& moment,
                    const std::string& file);

// Whether the bytes are in the file, however large it is.
bool FileContains(const std::string& file, const std::string& bytes);

// Those of the folder's files, at any depth, that contain the bytes.
std::vector<std::string> FilesWith(const std::string& folder, const std::string& bytes);

}  // namespace berth::integration
