#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "integration/simulation/random.h"

namespace berth::simulation {

// The disk below one process's SQLite files: SQLite's own VFS over files in memory, which knows of
// every byte whether it was synced, and fails when told to. What a life of the process has not
// synced may be lost, whole or in parts, when it ends with a loss of power.
//
// Names of files are durable at once; what is in the files is not.
class SimulatedDisk {
 public:
  // `crashed` is called when the process dies inside a write or a sync.
  SimulatedDisk(Random random, std::function<void()> crashed);
  ~SimulatedDisk();
  SimulatedDisk(const SimulatedDisk&) = delete;
  SimulatedDisk& operator=(const SimulatedDisk&) = delete;

  // Where the files are, and the name under which SQLite knows the disk.
  const std::string& folder() const { return folder_; }
  const std::string& vfs() const { return name_; }

  // The process dies inside the call that comes after so many more writes and syncs.
  void CrashAfter(int calls) { crash_after_ = calls; }
  // The next sync fails: EIO. `failing` is told before.
  void FailNextSync(std::function<void()> failing) { sync_failing_ = std::move(failing); }
  // Writes fail until there is room again.
  void SetFull(bool full) { full_ = full; }

  // The process has died: nothing it still does, such as closing its files, reaches the disk.
  void Freeze() { frozen_ = true; }

  // What becomes of what was not synced.
  enum class End {
    kProcess,  // The kernel lives and has it all.
    kPower,    // Each sector is there or not.
  };
  // The process has ended, and its files are closed: from now on they hold what is left of them.
  void Settle(End end);

  // How often each fault came to pass.
  struct Numbers {
    uint64_t crashes = 0;
    uint64_t failed_syncs = 0;
    uint64_t refused_writes = 0;
    uint64_t sectors_lost = 0;
  };
  const Numbers& numbers() const { return numbers_; }

 private:
  struct Change {
    int64_t offset;
    std::optional<std::string> bytes;  // nullopt: the file is cut to `offset`.
  };
  struct File {
    std::string synced;
    std::vector<Change> since;
  };

  static int Open(sqlite3_vfs* vfs, sqlite3_filename path, sqlite3_file* file, int flags,
                  int* flags_out);
  static int Delete(sqlite3_vfs* vfs, const char* path, int sync_folder);
  static int Write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset);
  static int Truncate(sqlite3_file* file, sqlite3_int64 size);
  static int Sync(sqlite3_file* file, int flags);
  static int Close(sqlite3_file* file);

  static void Apply(const Change& change, std::string* content);
  // Whether the process dies in this call.
  bool DiesNow();
  // What is left of a write that was not synced.
  void ApplyInParts(const Change& change, std::string* content);

  static inline std::map<sqlite3_file*, std::pair<SimulatedDisk*, std::string>> open_files_;
  static inline uint64_t disks_so_far_ = 0;

  Random random_;
  const std::function<void()> crashed_;
  std::string folder_;
  const std::string name_;
  sqlite3_vfs vfs_;
  std::map<std::string, File> files_;  // By path: those that were opened since the last Settle.
  std::optional<int> crash_after_;
  std::function<void()> sync_failing_;
  bool full_ = false;
  bool frozen_ = false;
  Numbers numbers_;
};

}  // namespace berth::simulation
