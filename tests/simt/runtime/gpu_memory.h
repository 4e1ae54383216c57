// Device memory of the emulated runtime: only the GPU's work may touch it. Whatever the host does to it between two
// waits ends the process, as on a GPU. Every allocation lies between two pages that nobody may touch.
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
    std::size_t size, mapped;  // `mapped`: in whole pages, without the two around
  };
  void protect(bool on) const;

  std::size_t total_;
  std::size_t used_ = 0;
  std::map<std::byte*, Block> blocks_;
};

}  // namespace simt
