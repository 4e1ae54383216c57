// Device memory of the emulated runtime: only the GPU's work may touch it. Whatever the host does to it between two
// waits ends the process, as on a GPU. Every allocation ends at a page that nobody may touch, but for what aligns it to
// 256 bytes, and its addresses are never given again.
#pragma once

#include <cstddef>
#include <map>

namespace simt {

class GpuMemory {
 public:
  GpuMemory();

  // Filled with fill_byte(); null where there is no room.
  void* allocate(std::size_t size);
  bool release(void* p);  // false: not an allocation
  // Whether all bytes belong to one allocation.
  bool holds(const void* p, std::size_t size) const;
  // Whether the address belongs to any.
  bool holds(const void* p) const { return holds(p, 1); }

  std::size_t total() const { return total_; }
  std::size_t free() const { return total_ - used_; }

  // While one lives, the memory may be touched: by work that runs.
  class Open {
   public:
    explicit Open(GpuMemory& memory) : memory_(memory) { memory_.protect(false); }
    ~Open() { memory_.protect(true); }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;

   private:
    GpuMemory& memory_;
  };

 private:
  struct Block {
    std::byte* pages;
    std::size_t size, mapped;  // `mapped`: in whole pages, without the one behind
  };
  void protect(bool on) const;

  std::size_t total_;
  std::size_t used_ = 0;
  std::map<std::byte*, Block> blocks_;
};

}  // namespace simt
