#include "async_copies.h"

#include <cstring>

namespace simt::rt {
namespace {

// Through the library's functions, which the sanitizers watch.
void land(const AsyncCopies::Copy& copy) {
  if (copy.bytes > 0) std::memcpy(copy.to, copy.from, copy.bytes);
  if (copy.bytes < copy.size) std::memset(static_cast<char*>(copy.to) + copy.bytes, 0, copy.size - copy.bytes);
}

}  // namespace

void AsyncCopies::issue(const Copy& copy) {
  copies_.push_back(copy);
  copies_.back().group = group_;
}

void AsyncCopies::wait(int pending) {
  std::erase_if(copies_, [&](const Copy& copy) {
    const bool lands = copy.group < group_ - pending;
    if (lands) land(copy);
    return lands;
  });
}

void AsyncCopies::land_all() {
  for (const Copy& copy : copies_) land(copy);
  copies_.clear();
}

void AsyncCopies::clear() {
  copies_.clear();
  group_ = 0;
}

}  // namespace simt::rt
