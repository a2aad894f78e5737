#pragma once

#include <sqlite3.h>

#include <map>
#include <string>

namespace berth {

// SQLite's own VFS under another name, whose files fail when told to. One at a time; on one thread.
class FaultyVfs {
 public:
  enum class Call { kWrite, kSync };

  // Registered as `name` until the object is gone; logs opened with it are closed before.
  explicit FaultyVfs(const std::string& name) : name_(name) {
    vfs_ = *sqlite3_vfs_find(nullptr);
    vfs_.zName = name_.c_str();
    vfs_.xOpen = Open;
    vfs_.pNext = nullptr;
    Heal();
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~FaultyVfs() { sqlite3_vfs_unregister(&vfs_); }
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

  // After `calls_before` more of them, every such call fails with `error`, an SQLITE_ code.
  void FailFrom(Call call, int calls_before, int error) const {
    failing_ = call;
    calls_before_ = calls_before;
    error_ = error;
  }

  void Heal() const { error_ = SQLITE_OK; }

 private:
  // A file points at `faulty`, with which its Calls begin.
  struct Calls {
    sqlite3_io_methods faulty;
    const sqlite3_io_methods* original;
  };

  static const sqlite3_io_methods* Original(sqlite3_file* file) {
    return reinterpret_cast<const Calls*>(file->pMethods)->original;
  }

  static bool Fails(Call call) {
    return error_ != SQLITE_OK && call == failing_ && calls_before_-- <= 0;
  }

  static int Open(sqlite3_vfs*, sqlite3_filename path, sqlite3_file* file, int flags,
                  int* flags_out) {
    sqlite3_vfs* original = sqlite3_vfs_find(nullptr);
    const int code = original->xOpen(original, path, file, flags, flags_out);
    if (code != SQLITE_OK) return code;
    // The file stays the original's; only its table of calls is another.
    Calls& calls = calls_[file->pMethods];
    calls = {*file->pMethods, file->pMethods};
    calls.faulty.xWrite = Write;
    calls.faulty.xSync = Sync;
    file->pMethods = &calls.faulty;
    return SQLITE_OK;
  }

  static int Write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
    if (Fails(Call::kWrite)) return error_;
    return Original(file)->xWrite(file, bytes, size, offset);
  }

  static int Sync(sqlite3_file* file, int flags) {
    if (Fails(Call::kSync)) return error_;
    return Original(file)->xSync(file, flags);
  }

  // By the original's table: SQLite's VFS has several, for files that are locked and others.
  static inline std::map<const sqlite3_io_methods*, Calls> calls_;
  static inline Call failing_ = Call::kWrite;
  static inline int calls_before_ = 0;
  static inline int error_ = SQLITE_OK;

  const std::string name_;
  sqlite3_vfs vfs_;
};

}  // namespace berth
