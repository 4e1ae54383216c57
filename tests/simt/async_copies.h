// cp.async of one thread: copies issued, grouped and not landed yet.
#pragma once

#include <cstddef>
#include <vector>

namespace simt::rt {

class AsyncCopies {
 public:
  struct Copy {
    void* to;
    const void* from;
    std::size_t size, bytes;  // the first `bytes` of `size` are copied, the rest becomes zero
    int group = 0;
  };

  void issue(const Copy& copy);
  void commit() { ++group_; }
  // Lands all copies but those of the last `pending` groups and those that no group has yet.
  void wait(int pending);
  void land_all();
  // Forgets them, after a failure and before a thread of another block.
  void clear();

 private:
  std::vector<Copy> copies_;
  int group_ = 0;
};

}  // namespace simt::rt
