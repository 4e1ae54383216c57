// Files: whole reads, atomic writes, read-only maps. Errors name the path and the system's reason.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace gridstep {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path);  // throws Error

// Writes a temporary file in the same folder, fsyncs it, renames it over `path` and fsyncs the folder: a reader (or a
// kill at any moment) sees the old content or the new, never a part. `write` receives a sink to append bytes with.
using Sink = std::function<void(const void* data, std::size_t size)>;
void write_file_atomic(const fs::path& path, const std::function<void(const Sink&)>& write);
void write_file_atomic(const fs::path& path, std::string_view content);

// Removes the temporary files that killed writers left in the folder and below it. Only for a folder that no other
// process writes to; `spared` is a folder below it where one might.
void remove_leftovers(const fs::path& folder, const fs::path& spared = {});

// Appends one line and flushes it to the system.
void append_line(const fs::path& path, std::string_view line);

// A read-only memory map of a whole file.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const fs::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace gridstep
