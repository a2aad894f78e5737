#include "integration/simulation/disk.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/check/check.h"

namespace berth::simulation {
namespace {

constexpr size_t kSectorBytes = 512;

sqlite3_vfs* Original() { return sqlite3_vfs_find(nullptr); }

// The original's table of calls beside ours, which is found by the same pointer.
struct Calls {
  sqlite3_io_methods ours;
  const sqlite3_io_methods* original;
};

std::map<const sqlite3_io_methods*, Calls>& KnownCalls() {
  static auto* const calls = new std::map<const sqlite3_io_methods*, Calls>();
  return *calls;
}

const sqlite3_io_methods* OriginalOf(sqlite3_file* file) {
  return reinterpret_cast<const Calls*>(file->pMethods)->original;
}

std::string ContentOf(const std::string& path) {
  std::error_code missing;
  const uintmax_t size = std::filesystem::file_size(path, missing);
  std::string content(missing ? 0 : size, '\0');
  std::ifstream in(path, std::ios::binary);
  in.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<size_t>(in.gcount()));
  return content;
}

// In memory where the machine has such a folder: thousands of seeds sync nothing for real.
std::string MakeFolder() {
  std::error_code ignored;
  const std::string base = std::filesystem::is_directory("/dev/shm", ignored)
                               ? "/dev/shm"
                               : std::filesystem::temp_directory_path().string();
  std::string folder = absl::StrCat(base, "/berth-sim-XXXXXX");
  BERTH_CHECK_MESSAGE(mkdtemp(folder.data()) != nullptr, folder);
  return folder;
}

}  // namespace

SimulatedDisk::SimulatedDisk(Random random, std::function<void()> crashed)
    : random_(random),
      crashed_(std::move(crashed)),
      folder_(MakeFolder()),
      name_(absl::StrCat("simulated-", ++disks_so_far_)),
      vfs_(*Original()) {
  vfs_.zName = name_.c_str();
  vfs_.xOpen = Open;
  vfs_.xDelete = Delete;
  vfs_.pNext = nullptr;
  // The original finds its own in the VFS that it is called with, which is not this one.
  vfs_.pAppData = this;
  sqlite3_vfs_register(&vfs_, 0);
}

SimulatedDisk::~SimulatedDisk() {
  sqlite3_vfs_unregister(&vfs_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

int SimulatedDisk::Open(sqlite3_vfs* vfs, sqlite3_filename path, sqlite3_file* file, int flags,
                        int* flags_out) {
  auto* const disk = static_cast<SimulatedDisk*>(vfs->pAppData);
  if (disk->frozen_) return SQLITE_IOERR;
  const int code = Original()->xOpen(Original(), path, file, flags, flags_out);
  if (code != SQLITE_OK || path == nullptr) return code;
  disk->files_.try_emplace(path, File{ContentOf(path), {}});
  Calls& calls = KnownCalls()[file->pMethods];
  calls = {*file->pMethods, file->pMethods};
  calls.ours.xWrite = Write;
  calls.ours.xTruncate = Truncate;
  calls.ours.xSync = Sync;
  calls.ours.xClose = Close;
  file->pMethods = &calls.ours;
  open_files_[file] = {disk, path};
  return SQLITE_OK;
}

int SimulatedDisk::Close(sqlite3_file* file) {
  open_files_.erase(file);
  return OriginalOf(file)->xClose(file);
}

int SimulatedDisk::Delete(sqlite3_vfs* vfs, const char* path, int sync_folder) {
  auto* const disk = static_cast<SimulatedDisk*>(vfs->pAppData);
  if (disk->frozen_) return SQLITE_IOERR_DELETE;
  disk->files_.erase(path);
  return Original()->xDelete(Original(), path, sync_folder);
}

bool SimulatedDisk::DiesNow() {
  if (!crash_after_.has_value() || (*crash_after_)-- > 0) return false;
  crash_after_.reset();
  ++numbers_.crashes;
  frozen_ = true;
  crashed_();
  return true;
}

int SimulatedDisk::Write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
  const auto& [disk, path] = open_files_.at(file);
  if (disk->frozen_) return SQLITE_IOERR_WRITE;
  if (disk->full_) {
    ++disk->numbers_.refused_writes;
    return SQLITE_FULL;
  }
  const Change change{offset,
                      std::string(static_cast<const char*>(bytes), static_cast<size_t>(size))};
  File& known = disk->files_.at(path);
  if (disk->DiesNow()) {
    // Some of it may have got as far as the kernel.
    Change part = change;
    part.bytes->resize(disk->random_.Below(part.bytes->size() + 1));
    if (!part.bytes->empty()) {
      OriginalOf(file)->xWrite(file, part.bytes->data(), static_cast<int>(part.bytes->size()),
                               offset);
      known.since.push_back(std::move(part));
    }
    return SQLITE_IOERR_WRITE;
  }
  known.since.push_back(change);
  return OriginalOf(file)->xWrite(file, bytes, size, offset);
}

int SimulatedDisk::Truncate(sqlite3_file* file, sqlite3_int64 size) {
  const auto& [disk, path] = open_files_.at(file);
  if (disk->frozen_) return SQLITE_IOERR_TRUNCATE;
  disk->files_.at(path).since.push_back({size, std::nullopt});
  return OriginalOf(file)->xTruncate(file, size);
}

int SimulatedDisk::Sync(sqlite3_file* file, int) {
  const auto& [disk, path] = open_files_.at(file);
  if (disk->frozen_) return SQLITE_IOERR_FSYNC;
  File& known = disk->files_.at(path);
  if (disk->sync_failing_ != nullptr) {
    // What was written is marked clean and is not on the disk: nothing more is known of it.
    std::exchange(disk->sync_failing_, nullptr)();
    ++disk->numbers_.failed_syncs;
    disk->frozen_ = true;
    return SQLITE_IOERR_FSYNC;
  }
  const bool dies = disk->DiesNow();
  if (dies && disk->random_.Chance(500)) return SQLITE_IOERR;
  for (const Change& change : known.since) Apply(change, &known.synced);
  known.since.clear();
  return dies ? SQLITE_IOERR : SQLITE_OK;
}

void SimulatedDisk::Apply(const Change& change, std::string* content) {
  const auto offset = static_cast<size_t>(change.offset);
  if (!change.bytes.has_value()) {
    content->resize(offset);
    return;
  }
  if (content->size() < offset + change.bytes->size()) {
    content->resize(offset + change.bytes->size());
  }
  content->replace(offset, change.bytes->size(), *change.bytes);
}

void SimulatedDisk::ApplyInParts(const Change& change, std::string* content) {
  if (!change.bytes.has_value()) {
    if (random_.Chance(500)) Apply(change, content);
    return;
  }
  for (size_t begin = 0; begin < change.bytes->size();) {
    const size_t at = static_cast<size_t>(change.offset) + begin;
    const size_t end = std::min(change.bytes->size(), begin + kSectorBytes - at % kSectorBytes);
    if (random_.Chance(500)) {
      Apply({static_cast<int64_t>(at), change.bytes->substr(begin, end - begin)}, content);
    } else {
      ++numbers_.sectors_lost;
    }
    begin = end;
  }
}

void SimulatedDisk::Settle(End end) {
  for (auto& [path, file] : files_) {
    if (absl::EndsWith(path, "-shm")) continue;
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) continue;
    std::string content = file.synced;
    // All of it was lost, or none, as often as some.
    const uint64_t lost = end == End::kProcess ? 0 : random_.Below(3);
    for (const Change& change : file.since) {
      if (lost == 0) Apply(change, &content);
      if (lost == 1) ApplyInParts(change, &content);
    }
    if (lost == 2) numbers_.sectors_lost += file.since.size();
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }
  files_.clear();
  frozen_ = false;
  full_ = false;
  crash_after_.reset();
  sync_failing_ = nullptr;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, ignored)) {
    if (absl::EndsWith(entry.path().string(), "-shm"))
      std::filesystem::remove(entry.path(), ignored);
  }
}

}  // namespace berth::simulation
