#include "gpu_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <stdexcept>

#include "simt.h"

namespace simt {
namespace {

const auto kPage = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));

void set_access(std::byte* p, std::size_t size, int access) {
  if (mprotect(p, size, access) != 0) throw std::runtime_error("mprotect failed on the emulated GPU's memory");
}

// Large blocks at both ends only: each page that was touched costs time whenever the memory is opened.
void poison(std::byte* p, std::size_t size) {
  const std::size_t end = std::min(size, std::size_t{1} << 20);
  std::memset(p, fill_byte(), end);
  std::memset(p + size - end, fill_byte(), end);
}

}  // namespace

GpuMemory::GpuMemory() : total_(std::size_t{4096} << 20) {
  if (const char* mebibytes = std::getenv("SIMT_GPU_MIB"); mebibytes != nullptr)
    total_ = std::strtoull(mebibytes, nullptr, 10) << 20;
}

void* GpuMemory::allocate(std::size_t size) {
  constexpr std::size_t kAligned = 256;
  const std::size_t rounded = (size + kAligned - 1) / kAligned * kAligned;
  const std::size_t mapped = (rounded + kPage - 1) / kPage * kPage;
  if (mapped > free()) return nullptr;
  void* const all = mmap(nullptr, mapped + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED) return nullptr;
  auto* const pages = static_cast<std::byte*>(all);
  set_access(pages, mapped, PROT_READ | PROT_WRITE);
  poison(pages, mapped);
  set_access(pages, mapped, PROT_NONE);
  std::byte* const p = pages + mapped - rounded;
  blocks_[p] = {pages, size, mapped};
  used_ += mapped;
  return p;
}

bool GpuMemory::release(void* p) {
  const auto found = blocks_.find(static_cast<std::byte*>(p));
  if (found == blocks_.end()) return false;
  const auto& [pages, size, mapped] = found->second;
  // Gives the memory back and keeps the addresses.
  if (mmap(pages, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
    throw std::runtime_error("mmap failed on the emulated GPU's memory");
  used_ -= mapped;
  blocks_.erase(found);
  return true;
}

bool GpuMemory::holds(const void* p, std::size_t size) const {
  const auto* const first = static_cast<const std::byte*>(p);
  auto after = blocks_.upper_bound(const_cast<std::byte*>(first));
  if (after == blocks_.begin()) return false;
  const auto& [begin, block] = *std::prev(after);
  return first >= begin && size <= block.size && first + size <= begin + block.size;
}

void GpuMemory::protect(bool on) const {
  for (const auto& [p, block] : blocks_) set_access(block.pages, block.mapped, on ? PROT_NONE : PROT_READ | PROT_WRITE);
}

}  // namespace simt
