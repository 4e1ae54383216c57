#include "engine/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/map_faults.h"

namespace gridstep {
namespace {

constexpr std::string_view kTemporary = ".tmp";  // and the writer's process number

std::string reason() { return std::strerror(errno); }

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

void write_all(int fd, const void* data, std::size_t size, const fs::path& path) {
  const char* p = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = ::write(fd, p, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot write {}: {}", path.string(), reason());
    p += n;
    size -= static_cast<std::size_t>(n);
  }
}

void sync_folder(const fs::path& folder) {
  Descriptor d(folder.empty() ? fs::path(".") : folder, O_RDONLY | O_DIRECTORY);
  if (d.ok()) ::fsync(d.get());  // some file systems refuse to sync a folder; the rename itself has been done
}

}  // namespace

std::string read_file(const fs::path& path) {
  Descriptor d(path, O_RDONLY);
  if (!d.ok()) fail("cannot open {}: {}", path.string(), reason());
  std::string content;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t n = ::read(d.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot read {}: {}", path.string(), reason());
    if (n == 0) return content;
    content.append(buffer, static_cast<std::size_t>(n));
  }
}

void write_file_atomic(const fs::path& path, const std::function<void(const Sink&)>& write) {
  const fs::path temporary = path.string() + fmt::format("{}{}", kTemporary, ::getpid());
  try {
    {
      Descriptor d(temporary, O_WRONLY | O_CREAT | O_TRUNC);
      if (!d.ok()) fail("cannot create {}: {}", temporary.string(), reason());
      write([&](const void* data, std::size_t size) { write_all(d.get(), data, size, path); });
      if (::fsync(d.get()) != 0) fail("cannot write {}: {}", path.string(), reason());
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      fail("cannot replace {}: {}", path.string(), reason());
    }
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_folder(path.parent_path());
}

void write_file_atomic(const fs::path& path, std::string_view content) {
  write_file_atomic(path, [&](const Sink& sink) { sink(content.data(), content.size()); });
}

void remove_leftovers(const fs::path& folder, const fs::path& spared) {
  const std::string own = fmt::format("{}{}", kTemporary, ::getpid());
  std::error_code error;
  std::vector<fs::path> found;
  for (auto it = fs::recursive_directory_iterator(folder, error); !error && it != fs::end(it); it.increment(error)) {
    if (it->path() == spared) it.disable_recursion_pending();
    const std::string name = it->path().filename().string();
    const auto at = name.rfind(kTemporary);
    const bool named_so = at != std::string::npos && at > 0 && at + kTemporary.size() < name.size() &&
                          name.find_first_not_of("0123456789", at + kTemporary.size()) == std::string::npos;
    std::error_code gone;
    if (named_so && !name.ends_with(own) && it->is_regular_file(gone)) found.push_back(it->path());
  }
  for (const fs::path& path : found) fs::remove(path, error);
}

void append_line(const fs::path& path, std::string_view line) {
  Descriptor d(path, O_WRONLY | O_CREAT | O_APPEND);
  if (!d.ok()) fail("cannot open {}: {}", path.string(), reason());
  std::string text(line);
  text += '\n';
  write_all(d.get(), text.data(), text.size(), path);
}

MappedFile::MappedFile(const fs::path& path) {
  Descriptor d(path, O_RDONLY);
  if (!d.ok()) fail("cannot open {}: {}", path.string(), reason());
  struct stat info {};
  if (::fstat(d.get(), &info) != 0) fail("cannot read {}: {}", path.string(), reason());
  if (S_ISDIR(info.st_mode)) fail("{} is a folder, not a file", path.string());
  size_ = static_cast<std::size_t>(info.st_size);
  if (size_ == 0) return;
  void* p = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, d.get(), 0);
  if (p == MAP_FAILED) fail("cannot map {} ({} bytes): {}", path.string(), size_, reason());
  data_ = static_cast<const std::byte*>(p);
  note_mapping(data_, size_, path.string());
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  forget_mapping(data_);
  ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace gridstep
